# SPDX-License-Identifier: MIT
"""The page at /, driven in a headless Chromium on a wide and on a 390-pixel window, in light and dark: write, stream,
stop, fork, roll back, download, upload, delete, by mouse and by keyboard. Screenshots go to TTT_SCRATCH."""
import json
import os
import sys

import browser
from serving import Server, begin, make_model, run_tests, scratch

EVIL = "<img src=x onerror=\"window.hacked=1\"><script>window.hacked=1</script>"
TEXT = "In the beginning was the word "


def status(page, pattern):
    page.wait(f"/{pattern}/.test(document.querySelector('#status').textContent)", pattern)


def written(page, count):
    status(page, f"{count} tokens written")
    page.wait("!document.querySelector('#text .fresh')")  # what the server says has taken the place of what streamed


def text_of(page):
    return page.run("[...document.querySelectorAll('#text span')].map(s => s.textContent).join('')")


def fill(page, selector, text):
    page.run(f"document.querySelector({json.dumps(selector)}).value = ''")
    page.run(f"document.querySelector({json.dumps(selector)}).focus()")
    page.type(text)


def open_panel(page):
    page.run("document.querySelector('#panel').open = true")


def fits(page):
    """Nothing is wider than the window, and what can be pressed is large enough for a finger."""
    assert page.run("document.documentElement.scrollWidth <= innerWidth"), page.run("document.documentElement.scrollWidth")
    small = page.run("[...document.querySelectorAll('button, .button, input:not(.out)')].filter(e => e.offsetParent)"
                     ".filter(e => e.getBoundingClientRect().height < 24).map(e => e.id)")
    assert small == [], small


def write(page, server, name):
    """A session by its name, with text that would be markup."""
    open_panel(page)
    fill(page, "#name", name)
    page.press("Enter", "\r", code=13)
    page.wait(f"document.querySelector('#title').textContent === {json.dumps(name)}")
    fill(page, "#tokens", "40")
    fill(page, "#temperature", "0")
    fill(page, "#prompt", TEXT + EVIL)
    page.click("#go")
    written(page, 40)
    assert text_of(page).startswith(TEXT + EVIL)
    assert page.run("window.hacked === undefined && !document.querySelector('#text img, #text script')")
    position = server.get(f"/v1/states/{name}/tokens").json["position"]
    assert position == len(TEXT + EVIL) + 40
    about = page.run("document.querySelector('#about').textContent")
    assert f"{position} tokens read" in about and "kB" in about, about
    return position


def fork(page, server, name):
    page.click("#fork")
    page.wait("document.querySelector('#ask').open")
    assert page.run("document.activeElement.id") == "answer"
    fill(page, "#answer", name + ".fork")
    page.press("Enter", "\r", code=13)
    status(page, "is a fork of")
    under = page.run("[...document.querySelectorAll('#tree li li button span:first-child')].map(e => e.textContent)")
    assert name + ".fork" in under, under


def roll_back(page, server, name, position):
    """By clicking a position, then by the keys alone."""
    page.click("#text span:nth-of-type(20)")
    assert page.run("document.querySelector('#position').value") == "20"
    assert page.run("document.querySelectorAll('#text span.after').length") == position - 20
    page.click("#rollback")
    status(page, "Rolled back to 20; \\d+ tokens were read again")
    assert server.get(f"/v1/states/{name}.fork/tokens").json["position"] == 20
    assert server.get(f"/v1/states/{name}/tokens").json["position"] == position
    page.run("document.querySelector('#text').focus()")
    for _ in range(3):
        page.press("ArrowLeft", code=37)
    assert page.run("document.querySelector('#position').value") == "17"
    page.run("document.querySelector('#forkhere').focus()")
    page.press("Enter", "\r", code=13)
    page.wait("document.querySelector('#ask').open")
    fill(page, "#answer", name + ".early")
    page.press("Enter", "\r", code=13)
    page.wait(f"document.querySelector('#title').textContent === {json.dumps(name + '.early')}")
    assert server.get(f"/v1/states/{name}.early/tokens").json["position"] == 17
    assert text_of(page) == TEXT[:17]


def carry(page, server, name):
    """Down to a file, and up under another name."""
    folder = scratch("downloads-" + name)
    os.makedirs(folder)
    page.downloads(folder)
    page.click("#download")
    file = os.path.join(folder, name + ".early.ttt")
    for _ in range(600):
        if os.path.exists(file):
            break
        page.run("new Promise(done => setTimeout(done, 50))")
    with open(file, "rb") as read:
        assert read.read() == server.get(f"/v1/states/{name}.early").body
    open_panel(page)
    page.files("#file", file)
    page.wait("document.querySelector('#ask').open")
    fill(page, "#answer", name + ".sent")
    page.press("Enter", "\r", code=13)
    status(page, "is uploaded")
    assert server.get(f"/v1/states/{name}.sent/tokens").json["position"] == 17


def stop(page, server, name):
    """The text comes piece by piece until it is stopped, and what came by then stays."""
    fill(page, "#tokens", "1000000")  # a minute of this small model's, should the machine be busy
    fill(page, "#prompt", "x")
    page.press("Enter", "\r", modifiers=2, code=13)
    place = "document.querySelector('#stop').getBoundingClientRect().top"
    page.wait("document.querySelectorAll('#text .fresh').length > 3")
    before = page.run(place)
    page.wait("document.querySelectorAll('#text .fresh').length > 30")
    assert page.run(place) == before, "text that comes moves the button"
    page.click("#stop")
    status(page, "Stopped")
    page.wait("!document.querySelector('#text .fresh')")
    page.wait("!document.querySelector('#go').disabled")
    position = server.get(f"/v1/states/{name}.sent/tokens").json["position"]
    assert 18 < position < 1000000
    page.wait(f"document.querySelector('#about').textContent.startsWith('{position:,} tokens read')")


def refuse(page, server, name):
    """What the server refuses is said, and the page goes on."""
    server.complete("y", session=name + ".sent", max_tokens=1)  # another writer
    fill(page, "#tokens", "3")
    fill(page, "#prompt", "z")
    page.click("#go")
    page.wait("/another request moved it/.test(document.querySelector('#error').textContent)")
    page.click("#go")
    written(page, 3)
    open_panel(page)
    fill(page, "#name", "no/name")
    page.press("Enter", "\r", code=13)
    page.wait("document.querySelector('#title').textContent === 'no/name'")
    fill(page, "#prompt", "z")
    page.click("#go")
    page.wait("/a name is 1 to 128/.test(document.querySelector('#error').textContent)")


def delete(page, server, name):
    open_panel(page)
    page.run(f"[...document.querySelectorAll('#tree button')].find(b => b.firstChild.textContent === '{name}.sent').click()")
    page.wait(f"document.querySelector('#title').textContent === '{name}.sent'")
    page.click("#delete")
    page.wait("document.querySelector('#ask').open && document.querySelector('#answer').hidden")
    page.press("Escape", code=27)
    page.wait("!document.querySelector('#ask').open")
    assert server.get(f"/v1/states/{name}.sent").status == 200
    page.click("#delete")
    page.wait("document.querySelector('#ask').open")
    page.click("#ask button.main")
    status(page, "is deleted")
    assert page.run("document.querySelector('#title').textContent") == "No session"
    assert server.get(f"/v1/states/{name}.sent").status == 404


def labels(page):
    """Every control has a name for those who do not see it."""
    nameless = page.run("[...document.querySelectorAll('button, input, textarea, a, nav, dialog')].filter(e => !("
                        "e.textContent.trim() || e.getAttribute('aria-label') || e.getAttribute('aria-labelledby') || "
                        "(e.labels && e.labels.length))).map(e => e.outerHTML)")
    assert nameless == [], nameless


def walk(server, name, width, height, phone, dark):
    page = browser.Browser()
    try:
        page.window(width, height, phone, dark)
        page.open(f"http://127.0.0.1:{server.port}/")
        page.wait("/parameters/.test(document.querySelector('#model').textContent)")
        shot = lambda what: (fits(page), page.shot(scratch(f"{name}-{what}.png")))
        shot("1-first")
        position = write(page, server, name)
        shot("2-written")
        fork(page, server, name)
        page.click("#text span:nth-of-type(20)")
        shot("3-position")
        roll_back(page, server, name, position)
        shot("4-early")
        carry(page, server, name)
        shot("5-sent")
        stop(page, server, name)
        refuse_begin = len(page.complaints)
        assert refuse_begin == 0, page.complaints
        refuse(page, server, name)
        shot("6-refused")
        delete(page, server, name)
        labels(page)
        shot("7-deleted")
        own = f"http://127.0.0.1:{server.port}/"
        strange = [url for url in page.requests if not url.startswith((own, "data:image/svg+xml", "about:"))]
        assert strange == [], strange
        rest = [c for c in page.complaints if "409" not in c and "400" not in c]  # Chromium notes answers of the refusals
        assert rest == [], rest
    finally:
        page.close()


def test_wide(server):
    walk(server, "wide", 1280, 800, False, False)


def test_phone(server):
    walk(server, "phone", 390, 844, True, False)


def test_dark(server):
    walk(server, "dark", 390, 844, True, True)


def test_a_key(server):
    """The browser has it as a password, and gives it with all that the page asks."""
    locked = Server(server.model, "--api-key", "secret key")
    page = browser.Browser()
    try:
        page.window(1280, 800)
        page.open(f"http://anybody:secret%20key@127.0.0.1:{locked.port}/")
        page.wait("/parameters/.test(document.querySelector('#model').textContent)")
        fill(page, "#tokens", "3")
        fill(page, "#temperature", "0")
        fill(page, "#prompt", "x")
        page.click("#go")
        written(page, 3)
        assert page.complaints == [], page.complaints
    finally:
        page.close()
        locked.stop()


def test_what_the_page_may_do(server):
    answer = server.get("/")
    policy = answer.headers["Content-Security-Policy"]
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8" and "default-src 'none'" in policy
    assert "unsafe" not in policy and server.get("/").headers["Content-Security-Policy"] != policy  # a number of its own
    body = answer.body.decode()
    for word in ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "https:", " style=", " onclick"):
        assert word not in body, word


if __name__ == "__main__":
    if not browser.PROGRAM:
        print("skipped: the page is driven in Chromium, and there is none here (Debian: chromium)")
        sys.exit(77)
    run_tests(globals(), "--states", scratch("states"), "--max-tokens", "2M")
