# SPDX-License-Identifier: MIT
"""A server to ask: a small model made by the program, `ttt serve` on a free port, and requests by http.client. A test
is a file of functions test_*(server); run_tests runs them all against one server and says what failed."""
import atexit
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback

TTT = os.environ["TTT"]
SCRATCH = os.environ["TTT_SCRATCH"]
WORDS = "in the beginning was the word and the word was with the light of the people who read it twice ".split()


def scratch(*names):
    return os.path.join(SCRATCH, *names)


def make_model(name="model", steps=2, **settings):
    """A model of two blocks and 257 bytes."""
    text = scratch(name + ".txt")
    os.makedirs(SCRATCH, exist_ok=True)
    with open(text, "w") as file:
        for i in range(4000):
            file.write(WORDS[i * i % len(WORDS)] + (".\n" if i % 11 == 0 else " "))
    keys = {"num_hidden_layers": 2, "hidden_size": 64, "num_attention_heads": 1, "intermediate_size": 128, **settings}
    sets = [word for key, value in keys.items() for word in ("--set", f"{key}={value}")]
    subprocess.run([TTT, "train", text, "-o", scratch(name), "--tokenizer", "byte", *sets, "--context", "64", "--batch",
                    "256", "--steps", str(steps)], check=True, capture_output=True)
    return scratch(name)


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        return self.json["error"]

    @property
    def events(self):
        """What stands behind "data: " of each event, parsed but for [DONE]."""
        found = re.findall(r"^data: (.*)$", self.body.decode(), re.M)
        return [text if text == "[DONE]" else json.loads(text) for text in found]


class Server:
    def __init__(self, model, *options, environment=None):
        self.model = model
        self.log_path = scratch(f"log.{time.monotonic_ns()}")
        self.log_file = open(self.log_path, "w")
        self.process = subprocess.Popen([TTT, "serve", "-m", model, "--port", "0", "--precision", "f32", *options],
                                        stderr=self.log_file,
                                        env={**os.environ, "TTT_THREADS": "2", **(environment or {})})
        atexit.register(self.process.kill)  # also where a test has failed
        self.port = self.await_port()

    def log(self):
        with open(self.log_path) as file:
            return file.read()

    def await_port(self):
        for _ in range(6000):
            found = re.search(r"is served at http://.*:(\d+)$", self.log(), re.M)
            if found:
                return int(found.group(1))
            if self.process.poll() is not None:
                break
            time.sleep(0.01)
        raise RuntimeError("the server did not start: " + self.log())

    def connect(self, timeout=120):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def ask(self, method, path, body=None, headers=None, timeout=120):
        connection = self.connect(timeout)
        try:
            data = json.dumps(body) if isinstance(body, (dict, list)) else body
            connection.request(method, path, data, {"Content-Type": "application/json", **(headers or {})})
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def get(self, path, **more):
        return self.ask("GET", path, **more)

    def post(self, path, body, **more):
        return self.ask("POST", path, body, **more)

    def complete(self, prompt, **fields):
        answer = self.post("/v1/completions", {"prompt": prompt, "temperature": 0, **fields})
        assert answer.status == 200, answer.body
        return answer.json

    def metric(self, name):
        return float(re.search(rf"^ttt:{name} (.*)$", self.get("/metrics").body.decode(), re.M).group(1))

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        code = self.process.wait(120)
        self.log_file.close()
        if code not in (0, -how):
            print(f"a server ended with {code}:\n{self.log()[-8000:]}")
        return code


def together(count, function):
    """Runs function(i) in as many threads; returns the results in order, or raises what one of them did."""
    results, faults = [None] * count, []

    def run(i):
        try:
            results[i] = function(i)
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]
    return results


def begin():
    shutil.rmtree(SCRATCH, ignore_errors=True)
    os.makedirs(SCRATCH)


def run_tests(names, *options, files=None):
    """Every function test_* of a file, against one server that must stop well at the end. Options that are names of
    `files` stand for their paths."""
    begin()
    for name, text in (files or {}).items():
        with open(scratch(name), "w") as file:
            file.write(text)
    server = Server(make_model(), *(scratch(option) if option in (files or {}) else option for option in options))
    failed = 0
    tests = [(name, function) for name, function in names.items() if name.startswith("test_")]
    for name, function in tests:
        start = time.monotonic()
        try:
            function(server)
        except BaseException:
            failed += 1
            print(f"failed: {name}\n{traceback.format_exc()}")
        print(f"{name}: {time.monotonic() - start:.2f} s")
    failed += server.stop() != 0
    print(f"{len(tests)} tests, {failed} failed")
    sys.exit(bool(failed))
