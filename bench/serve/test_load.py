#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The load against a server of this test, whose answers come in pieces cut anywhere, in chunks or not, and some of which
are wrong: test_load.py SERVE_LOAD"""
import json
import socket
import subprocess
import sys
import tempfile
import threading

EVENTS = 7


def event(text, reason):
    choice = json.dumps({"index": 0, "text": text, "finish_reason": reason})
    return f'data: {{"object": "text_completion", "choices": [{choice}]}}\n\n'.encode()


def answer(body, number):
    """Pieces of an answer, by what the body asks for."""
    if body["prompt"] == "refused":
        return [b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 2\r\n\r\n{}"]
    events = [event("a" * i * number, None) for i in range(EVENTS - 1)] + [event("", "length")]
    stream = b"".join(events) + b': ping\n\ndata: {"choices": [], "usage": {}}\n\ndata: [DONE]\n\n'
    if body["prompt"] == "cut":
        stream = stream[:-20]
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
    step = 1 + number % 40
    pieces = [stream[at:at + step] for at in range(0, len(stream), step)]
    if number % 2:
        return [head + b"\r\n"] + pieces
    return ([head + b"Transfer-Encoding: chunked\r\n\r\n"] + [b"%x;why\r\n%s\r\n" % (len(p), p) for p in pieces] +
            [b"0\r\n\r\n"])


def serve(listener, seen):
    number = 0
    while True:
        connection, _ = listener.accept()
        number += 1
        threading.Thread(target=reply, args=(connection, number, seen), daemon=True).start()


def reply(connection, number, seen):
    request = b""
    with connection:
        while True:
            got = connection.recv(1000)
            if not got:
                return  # an idle one has gone
            request += got
            head, end, body = request.partition(b"\r\n\r\n")
            lines = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:] if end)
            if end and len(body) == int(lines[b"Content-Length"]):
                break
        seen.append((head.split(b"\r\n")[0], lines[b"Authorization"]))
        try:
            for piece in answer(json.loads(body), number):
                connection.sendall(piece)
        except OSError:
            pass


def main():
    load, failed = sys.argv[1], 0
    listener = socket.create_server(("127.0.0.1", 0), backlog=200)
    port, seen = listener.getsockname()[1], []
    threading.Thread(target=serve, args=(listener, seen), daemon=True).start()
    cases = [(["good", "good too"], ["-s", "5", "-r", "30", "-i", "20", "-k", "the key"], 0, 30, 0),
             (["good"], [], 0, 1, 0), (["good", "refused"], ["-s", "2", "-r", "4"], 1, 4, 2),
             (["cut"], ["-s", "3"], 1, 3, 3)]
    for prompts, words, status, requests, wrong in cases:
        with tempfile.NamedTemporaryFile("w") as bodies:
            bodies.write("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in prompts))
            bodies.flush()
            done = subprocess.run([load, *words, str(port), bodies.name], capture_output=True, text=True, timeout=60)
        said = json.loads(done.stdout)
        refused = wrong if "refused" in prompts else 0
        expected = (status, requests, wrong, EVENTS * (requests - refused))
        got = (done.returncode, said["requests"], said["failed"], said["events"])
        if got != expected or not 0 <= said["first"]["median"] <= said["first"]["most"] <= said["seconds"]:
            print(f"failed: {prompts} {words}: {got} instead of {expected}\n{done.stdout}{done.stderr}")
            failed += 1
    if seen[0] != (b"POST /v1/completions HTTP/1.1", b"Bearer the key"):
        print(f"failed: {seen[0]}")
        failed += 1
    print(f"{len(cases) + 1} checks, {failed} failed")
    sys.exit(failed > 0)


main()
