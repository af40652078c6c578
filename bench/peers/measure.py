# SPDX-License-Identifier: MIT
"""One measurement of one peer, in this process: measure.py PEER TEST PRECISION THREADS REPETITIONS. Prints the seconds of
every repetition, after a first one that does not count, the tokens of one, and the most memory resident, as JSON."""
import json
import resource
import sys
import time

import models

DECODED = 32


def main():
    peer, test, precision, threads, repetitions = sys.argv[1:]
    it = models.open_peer(peer, test, precision, int(threads))
    work = {"prefill": it.prefill, "decode": lambda: it.decode(DECODED), "train": getattr(it, "train", None)}[test]
    seconds = []
    grad, cast = it.computing(test == "train")
    with grad, cast:
        if test == "decode":
            it.prefill()
        for repetition in range(int(repetitions) + 1):
            start = time.perf_counter()
            work()
            if repetition > 0:
                seconds.append(time.perf_counter() - start)
    print(json.dumps({"seconds": seconds, "tokens": DECODED if test == "decode" else models.CONTEXT,
                      "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))


main()
