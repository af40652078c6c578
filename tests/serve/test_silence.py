# SPDX-License-Identifier: MIT
"""A stream that has nothing to say for a while says so: a request that waits for a slot is answered with a head and
comments. It takes the time of that silence."""
import json
import socket
import time

from serving import run_tests


def begin(server, **fields):
    connection = server.connect()
    connection.request("POST", "/v1/completions", json.dumps({"ignore_eos": True, **fields}))
    return connection


def test_a_stream_that_waits_is_sent_comments(server):
    holder = begin(server, prompt="a", max_tokens=10**9)
    while not server.get("/slots").json[0]["is_processing"]:  # of two new connections the later may be read first
        time.sleep(0.01)
    waiting = begin(server, prompt="b", max_tokens=3, stream=True)
    response = waiting.getresponse()
    assert response.status == 200 and response.getheader("Content-Type") == "text/event-stream"
    assert response.readline() == b":\n" and response.readline() == b"\n"
    holder.sock.shutdown(socket.SHUT_RDWR)
    assert b"[DONE]" in response.read()
    for connection in (holder, waiting):
        connection.close()


run_tests(globals(), "--parallel", "1", "--max-tokens", "1024M")
