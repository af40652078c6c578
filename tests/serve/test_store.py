# SPDX-License-Identifier: MIT
"""What outlives a server, and what it does when memory or the disk is full, a file is damaged, or it is killed."""
import glob
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback

from serving import SCRATCH, TTT, Server, begin, make_model, scratch

TEXT = "In the beginning was the word, and the word was with the people who read it. "
KILLS = 100 if os.environ.get("TTT_TEST_LONG") else 6
MODEL = None


def serve(folder="states", *options):
    return Server(MODEL, *(["--states", scratch(folder)] if folder else []), *options)


def write(server, name, prompt, **fields):
    return server.post("/v1/completions", {"prompt": prompt, "session": name, "max_tokens": 3, "temperature": 0, **fields})


def names(server):
    return [one["name"] for one in server.get("/v1/states?limit=10000").json["data"]]


def test_a_restart():
    server = serve("restart")
    write(server, "a", TEXT)
    server.post("/v1/states/a/fork", {"to": "b"})
    write(server, "b", "more")
    before = server.get("/v1/states").json["data"]
    assert server.stop() == 0
    for leftover in (".new-7", ".new-7.tmp-123", "responses/.new-1"):
        os.makedirs(os.path.dirname(scratch("restart/everyone", leftover)), exist_ok=True)
        open(scratch("restart/everyone", leftover), "w").close()
    server = serve("restart")
    after = server.get("/v1/states").json["data"]
    keys = ("name", "parent", "position", "bytes", "etag")
    assert [[one[k] for k in keys] for one in after] == [[one[k] for k in keys] for one in before]
    assert not any(one["in_memory"] for one in after)
    tokens = server.get("/v1/states/b/tokens").json["tokens"]
    answer = server.complete(tokens + [98], max_tokens=5)  # found by the hash of what it has read
    assert answer["usage"]["prompt_tokens_details"]["cached_tokens"] == len(tokens)
    assert answer["choices"] == server.complete(tokens + [98], max_tokens=5, cache_prompt=False)["choices"]
    back = server.post("/v1/states/a/rollback", {"position": 20}).json
    assert back["read_again"] == 20  # a file has no snapshots, and the answer says what that cost
    assert server.stop() == 0
    assert not glob.glob(scratch("restart/**/.new*"), recursive=True)


def test_one_server_for_a_folder():
    server = serve("one")
    second = subprocess.run([TTT, "serve", "-m", MODEL, "--port", "0", "--states", scratch("one")], capture_output=True,
                            timeout=60)
    assert second.returncode == 1 and b"another server" in second.stderr, second.stderr
    assert server.stop() == 0
    file = scratch("file")
    open(file, "w").close()
    for wrong in (file, file + "/x", scratch("none/none")):
        second = subprocess.run([TTT, "serve", "-m", MODEL, "--port", "0", "--precision", "f32", "--states", wrong],
                                capture_output=True, timeout=60)
        assert second.returncode == 1 and second.stderr.count(b"\n") == 1, second.stderr


def test_files_that_are_no_states():
    server = serve("damaged")
    for name in ("whole", "flipped", "cut"):
        write(server, name, TEXT)
    server.stop()
    folder = scratch("damaged/everyone")
    with open(folder + "/flipped.ttt", "r+b") as file:
        file.seek(-3, 2)
        byte = file.read(1)
        file.seek(-3, 2)
        file.write(bytes([byte[0] ^ 1]))
    os.truncate(folder + "/cut.ttt", 100)
    for path, what in (("notes.txt", b"x"), (".hidden.ttt", b""), ("a b.ttt", b"x"), ("x" * 129 + ".ttt", b"x")):
        with open(os.path.join(folder, path), "wb") as file:
            file.write(what)
    os.mkdir(folder + "/folder.ttt")
    os.symlink("/etc/passwd", folder + "/link.ttt")
    contents = {path: open(path, "rb").read() for path in glob.glob(folder + "/*.t*") if os.path.isfile(path)}
    server = serve("damaged")
    assert write(server, "whole", "so").status == 200
    state = server.get("/v1/states/whole").body
    for name in ("flipped", "cut"):
        assert name + ".ttt" in server.log() or name == "flipped"  # what the head does not tell is found when it is used
        for answer in (write(server, name, "so"), server.get("/v1/states/" + name), server.get(f"/v1/states/{name}/tokens"),
                       server.post(f"/v1/states/{name}/rollback", {"position": 0})):
            assert answer.status == 500 and ("checksum" in answer.error["message"] or "no state file" in
                                             answer.error["message"]), answer.body
    assert server.ask("PUT", "/v1/states/link", state).status in (201, 500)
    assert server.stop() == 0
    for path, what in contents.items():
        if not path.endswith(("whole.ttt", "link.ttt")):
            assert open(path, "rb").read() == what, path
    with open("/etc/passwd", "rb") as file:
        assert not file.read().startswith(state[:8])


def test_memory_is_bounded():
    server = serve("memory", "--state-memory", "1500k")
    for i in range(30):
        assert write(server, f"s{i}", TEXT).status == 200
        server.complete(f"{i} " + TEXT, max_tokens=1)
    assert server.metric("states_memory_bytes") <= 1500 * 1024
    about = server.get("/v1/states?limit=100").json["data"]
    assert len(about) == 30 and 0 < sum(one["in_memory"] for one in about) < 30
    assert not next(one for one in about if one["name"] == "s0")["in_memory"]
    assert write(server, "s0", "so").status == 200
    assert server.stop() == 0
    server = serve("memory", "--state-memory", "0")  # every state is read anew
    assert write(server, "s0", "so").status == 200 and server.metric("states_memory_bytes") == 0
    server.stop()


def test_memory_alone():
    server = serve(None, "--state-memory", "1M")
    kept = 0
    while True:
        answer = write(server, f"s{kept}", TEXT)
        if answer.status != 200:
            break
        kept += 1
        server.complete(f"{kept} " + TEXT, max_tokens=1)
    assert answer.status == 507 and "--state-memory" in answer.error["message"] and 3 < kept < 100
    assert sorted(names(server)) == sorted(f"s{i}" for i in range(kept))
    etag = server.get("/v1/states/s0").headers["ETag"]
    assert server.get("/v1/states/s0").headers["ETag"] == etag
    assert server.ask("DELETE", "/v1/states/s1").status == 200
    assert server.metric("states_memory_bytes") <= 1 << 20
    assert write(server, "s2", "x").status == 200
    server.stop()


def test_bodies_that_are_states():
    server = serve("bodies", "--max-body", "4k", "--state-memory", "100k")
    assert write(server, "a", TEXT).status == 200
    state = server.get("/v1/states/a").body
    assert 4096 < len(state) < 100 * 1024
    assert server.ask("PUT", "/v1/states/b", state).status == 201  # larger than --max-body
    assert server.ask("PUT", "/v1/states/b", b"x" * (101 * 1024)).status == 413
    assert server.post("/v1/completions", {"prompt": "x" * 5000}).status == 413
    assert server.stop() == 0


def test_the_disk_is_full():
    server = serve("disk", "--state-disk", "150k")
    assert write(server, "a", TEXT).status == 200
    etag = server.get("/v1/states/a").headers["ETag"]
    answer = write(server, "a", TEXT * 600)
    assert answer.status == 507 and "--state-disk" in answer.error["message"], answer.body
    stream = write(server, "a", TEXT * 600, stream=True)
    assert stream.status == 200 and stream.events[-1]["error"]["code"] and "--state-disk" in stream.events[-1]["error"]["message"]
    assert server.get("/v1/states/a").headers["ETag"] == etag
    made = 0
    while server.post("/v1/states/a/fork", {"to": f"f{made}"}).status == 201:
        made += 1
    assert 1 <= made < 5 and f"f{made}" not in names(server)
    assert server.metric("states_disk_bytes") <= 150 * 1024
    assert server.metric('states_refused_total{reason="full"}') >= 1
    assert server.ask("DELETE", "/v1/states/f0").status == 200
    assert server.post("/v1/states/a/fork", {"to": "again"}).status == 201
    assert server.stop() == 0


def test_the_file_system_is_full():
    folder = scratch("small")
    os.mkdir(folder)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "ttt", folder], capture_output=True).returncode != 0:
        print("a full file system: not tested, for nothing can be mounted here")
        return
    try:
        server = serve("small")
        assert write(server, "a", TEXT).status == 200
        etag = server.get("/v1/states/a").headers["ETag"]
        made = 0
        while (answer := server.post("/v1/states/a/fork", {"to": f"f{made}"})).status == 201:
            made += 1
        assert answer.status == 507 and 0 < made < 4, answer.body
        answer = write(server, "a", TEXT * 100)
        assert answer.status == 507 and "nothing has changed" in answer.error["message"], answer.body
        assert server.get("/v1/states/a").headers["ETag"] == etag
        assert server.ask("DELETE", "/v1/states/f0").status == 200
        assert write(server, "a", "x").status == 200
        assert server.stop() == 0
        assert not glob.glob(folder + "/everyone/.new*")
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def test_keys():
    server = serve("keys", "--api-key", "one", "--api-key", "two")
    one, two = {"Authorization": "Bearer one"}, {"Authorization": "Bearer two"}
    ask = lambda method, path, body=None, key=one: server.ask(method, path, body, key)
    body = {"prompt": TEXT, "session": "mine", "max_tokens": 3, "temperature": 0}
    assert ask("POST", "/v1/completions", body).status == 200
    for method, path, more in (("GET", "/v1/states/mine", None), ("DELETE", "/v1/states/mine", None),
                               ("GET", "/v1/states/mine/tokens", None), ("POST", "/v1/states/mine/fork", {"to": "x"}),
                               ("POST", "/v1/states/mine/rollback", {"position": 0})):
        assert ask(method, path, more, two).status == 404, path
        assert server.ask(method, path, more).status == 401, path
    assert ask("GET", "/v1/states", key=two).json["data"] == []
    plain = {"prompt": TEXT + "so", "max_tokens": 3, "temperature": 0}
    cached = lambda key: ask("POST", "/v1/completions", plain, key).json["usage"]["prompt_tokens_details"]["cached_tokens"]
    assert cached(two) == 0 and cached(one) > 0  # what one has read tells the other nothing, not even by time
    assert ask("POST", "/v1/completions", {**body, "prompt": "other"}, two).status == 200
    assert ask("GET", "/v1/states/mine/tokens", key=two).json["position"] == 8
    assert ask("GET", "/v1/states/mine/tokens").json["position"] == len(TEXT) + 3
    import base64
    basic = lambda pair: {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
    assert ask("GET", "/v1/states/mine/tokens", key=basic("anybody:one")).json["position"] == len(TEXT) + 3
    for wrong in (basic("one"), basic(":"), basic("one:two2"), basic("a:" + "x" * 5000), {"Authorization": "Basic ====:"},
                  {"Authorization": "Basic"}, {"Authorization": ""}, {"Authorization": "Bearer " + "y" * 5000}):
        answer = server.get("/v1/states", headers=wrong)
        assert answer.status == 401 and answer.headers["WWW-Authenticate"].startswith("Basic "), wrong
    assert server.get("/").status == 401
    folders = sorted(name for name in os.listdir(scratch("keys")) if name != ".lock")
    assert len(folders) == 2 and all(len(name) == 32 for name in folders) and "one" not in folders
    assert server.stop() == 0
    server = serve("keys", "--api-key", "two")
    assert server.get("/v1/states", headers=two).json["data"][0]["position"] == 8
    server.stop()


def test_kill_at_any_moment():
    """Every answer that came is there after the restart, and nothing that is there is half."""
    known, answered, fault = {}, {}, []
    for round_ in range(KILLS):
        server = serve("kill")
        for name, position in known.items():
            about = server.get(f"/v1/states/{name}/tokens").json
            # What was answered is there; what was not may be there too, for the answer may have been on its way.
            assert about["position"] in (position, position + 8), (round_, name, about["position"], position)
            known[name] = about["position"]
        for name in names(server):
            assert server.get(f"/v1/states/{name}").status == 200
            known.setdefault(name, server.get(f"/v1/states/{name}/tokens").json["position"])
        for id, response in answered.items():
            got = server.get("/v1/responses/" + id)
            assert got.status == 200 and got.json == response, (round_, got.body, response)
        for id in list(answered)[-3:]:
            body = {"input": "more", "previous_response_id": id, "max_output_tokens": 1, "store": False}
            usage = server.post("/v1/responses", body).json["usage"]
            assert usage["input_tokens_details"]["cached_tokens"] == answered[id]["usage"]["total_tokens"]
        end = threading.Event()

        def load(i):
            n = 0
            while not end.is_set():
                name = f"k{i}.{n % 5}"
                try:
                    if write(server, name, "words").status == 200:
                        known[name] = known.get(name, 0) + 8
                    answer = server.post("/v1/responses", {"input": name, "max_output_tokens": 2})
                    if answer.status == 200:
                        answered[answer.json["id"]] = answer.json
                except (OSError, ValueError, http_errors):
                    if not end.is_set():
                        fault.append(traceback.format_exc())
                    return
                n += 1

        threads = [threading.Thread(target=load, args=(i,)) for i in range(4)]
        before = len(answered)
        for thread in threads:
            thread.start()
        while round_ % 2 and len(answered) == before and not fault:  # every other one is killed in the middle of work
            time.sleep(0.01)
        time.sleep(random.Random(round_).uniform(0.02, 0.4))
        end.set()
        assert server.stop(signal.SIGKILL) == -signal.SIGKILL
        for thread in threads:
            thread.join()
    assert not fault and known and len(answered) >= KILLS // 2, fault
    server = serve("kill")
    assert server.stop() == 0
    assert not glob.glob(scratch("kill/everyone/**/.new*"), recursive=True)


import http.client  # noqa: E402

http_errors = http.client.HTTPException

begin()
MODEL = make_model()
failed = 0
tests = [(name, test) for name, test in list(globals().items()) if name.startswith("test_")]
only = sys.argv[1:]
for name, test in tests:
    if only and name not in only:
        continue
    try:
        test()
    except BaseException:
        failed += 1
        print(f"failed: {name}\n{traceback.format_exc()}")
print(f"{len(tests)} tests, {failed} failed")
sys.exit(bool(failed))
