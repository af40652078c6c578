# SPDX-License-Identifier: MIT
"""A thousand connections: 64 that ask, beside those that say nothing, read slowly, send half or send rubbish, and a
folder of old sessions. Every answer is what it is alone; memory does not grow. Some seconds, or ten minutes with
TTT_TEST_LONG."""
import json
import os
import random
import resource
import shutil
import socket
import threading
import time

from serving import Server, begin, make_model, scratch, together

LONG = bool(os.environ.get("TTT_TEST_LONG"))
SECONDS, OLD, IDLE = (600, 10000, 900) if LONG else (5, 200, 200)
ASKERS, SLOW, PROMPTS = 64, 16, 40
COMPLETE = b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
HALVES = (b"", b"\r\n" * 500, b"POST /v1/comp", COMPLETE % 100 + b"{\"prompt\"")


def body_of(i):
    chance = random.Random(i)
    return {"prompt": [chance.randrange(1, 257) for _ in range(1 + chance.randrange(100))], "seed": i, "temperature": 1.1,
            "max_tokens": 1 + chance.randrange(30), "logprobs": 1, "ignore_eos": True}


def make_old_sessions(model, folder):
    server = Server(model, "--states", folder)
    server.complete("In the beginning", session="old", max_tokens=1)
    assert server.stop() == 0
    for i in range(OLD):
        shutil.copy(folder + "/everyone/old.ttt", f"{folder}/everyone/old.{i}.ttt")


class Crowd:
    def __init__(self, server):
        self.server = server
        self.end = time.monotonic() + SECONDS
        self.answers, self.refused, self.reopened, self.resident = 0, 0, 0, []
        self.lock = threading.Lock()
        self.alone = [self.answer(i) for i in range(PROMPTS)]

    def going_on(self):
        return time.monotonic() < self.end

    def count(self, what):
        with self.lock:
            setattr(self, what, getattr(self, what) + 1)

    def answer(self, i, **fields):
        answer = self.server.post("/v1/completions", {**body_of(i), **fields})
        assert answer.status == 200, answer.body
        return answer.json["choices"]

    def ask(self, i):
        """Texts, alone or as streams, and sessions that are written on, forked and deleted."""
        chance, name, read = random.Random(i), f"mine.{i}", 0
        while self.going_on():
            prompt = chance.randrange(PROMPTS)
            kind = chance.randrange(4)
            if kind < 2:
                assert self.answer(prompt) == self.alone[prompt], prompt
            elif kind == 2:
                answer = self.server.post("/v1/completions", {**body_of(prompt), "stream": True})
                choices = [event["choices"][0] for event in answer.events[:-1] if event["choices"]]
                assert answer.status == 200 and answer.events[-1] == "[DONE]", answer.body[-200:]
                assert "".join(choice["text"] for choice in choices) == self.alone[prompt][0]["text"]
            else:
                answer = self.server.complete("so it was", session=name, position=read, max_tokens=4, ignore_eos=True)
                read += answer["usage"]["prompt_tokens"] - read + answer["usage"]["completion_tokens"]
                position = self.server.get(f"/v1/states/{name}/tokens").json["position"]
                assert position == read, (position, read)
                if read > 400:
                    assert self.server.post(f"/v1/states/{name}/fork", {"to": name + ".fork"}).status in (200, 201)
                    for one in (name, name + ".fork"):
                        assert self.server.ask("DELETE", "/v1/states/" + one).status == 200
                    read = 0
            self.count("answers")

    def read_slowly(self, i):
        while self.going_on():
            connection = self.server.connect()
            connection.sock = socket.socket()
            connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
            connection.sock.settimeout(120)
            connection.sock.connect(("127.0.0.1", self.server.port))
            connection.request("POST", "/v1/completions", json.dumps({**body_of(i), "max_tokens": 20000, "stream": True}))
            response = connection.getresponse()
            until = min(self.end, time.monotonic() + 60)
            while time.monotonic() < until and response.read(200):
                time.sleep(0.3)
            connection.sock.shutdown(socket.SHUT_RDWR)
            response.close()
            connection.close()

    def say_nothing(self, _):
        """Those that the server closes, as nothing came, are opened anew."""
        def open_one(i):
            one = socket.create_connection(("127.0.0.1", self.server.port))
            one.sendall(HALVES[i % len(HALVES)])
            one.setblocking(False)
            return one
        held = [open_one(i) for i in range(IDLE)]
        while self.going_on():
            time.sleep(1)
            for i, one in enumerate(held):
                try:
                    closed = one.recv(4096) == b""
                except BlockingIOError:
                    closed = False
                except ConnectionError:
                    closed = True
                if closed:
                    one.close()
                    held[i] = open_one(i)
                    self.count("reopened")
        for one in held:
            one.close()

    def send_rubbish(self, i):
        chance = random.Random(i)
        deep = b"[" * 100000
        while self.going_on():
            kinds = [bytes(chance.randrange(256) for _ in range(2000)), b"GET / HTTP/9.9\r\n\r\n",
                     COMPLETE % 99999999999999 + b"x" * 4096, COMPLETE % len(deep) + deep,
                     b"GET /" + b"a" * 60000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"]
            with socket.create_connection(("127.0.0.1", self.server.port), timeout=60) as one:
                try:
                    one.sendall(chance.choice(kinds))
                    one.shutdown(socket.SHUT_WR)
                    got = one.recv(4096)
                    assert not got.startswith(b"HTTP/1.1 2"), got
                except OSError as fault:  # it has closed already
                    assert not isinstance(fault, TimeoutError)
            assert self.server.post("/v1/completions", chance.choice(["{", "[]", "{\"prompt\": 1e999}", ""])).status == 400
            self.count("refused")
            time.sleep(0.05)

    def watch(self, _):
        while self.going_on():
            with open(f"/proc/{self.server.process.pid}/status") as file:
                self.resident.append(next(int(line.split()[1]) / 1000 for line in file if line.startswith("VmRSS")))
            assert self.server.get("/health").status == 200
            time.sleep(SECONDS / 100)

    def run(self):
        roles = ([(self.ask, i) for i in range(ASKERS)] + [(self.read_slowly, i) for i in range(SLOW)] +
                 [(self.send_rubbish, i) for i in range(4)] + [(self.say_nothing, 0), (self.watch, 0)])

        def play(i):
            role, number = roles[i]
            try:
                role(number)
            except BaseException:
                self.end = 0  # the others need not go on
                raise
        together(len(roles), play)


begin()
limit = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (limit[1], limit[1]))
model, states = make_model(), scratch("states")
make_old_sessions(model, states)
server = Server(model, "--states", states, "--state-memory", "64M", "--queue", "200")
crowd = Crowd(server)
crowd.run()
sessions = server.metric("sessions")
third = len(crowd.resident) // 3  # the first is that in which the server comes to its size
middle, late = (sum(part) / max(len(part), 1) for part in (crowd.resident[third:2 * third], crowd.resident[-third:]))
print(f"{crowd.answers} answers, {crowd.refused} times rubbish, {crowd.reopened} connections opened anew in {SECONDS} s; "
      f"{middle:.0f} MB on average in the middle third of the time, {late:.0f} in the last")
assert crowd.answers > ASKERS and crowd.refused > 0 and sessions >= OLD
assert not LONG or late < 1.05 * middle + 4, crowd.resident
assert server.stop() == 0, server.log()
