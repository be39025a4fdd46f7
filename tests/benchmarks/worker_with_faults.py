"""Stands in for ``python -m benchmarks.worker``: what FAULT_<FORMAT> names happens to that format."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import time

text = sys.stdin.read()
fault = os.environ.get("FAULT_" + json.loads(text)["format"].replace("-", "_").upper())
if fault == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
elif fault == "sleep":
    time.sleep(600)
elif fault == "raise":
    import benchmarks.worker

    def refuse(*_):
        raise TypeError("incompatible function arguments.\nInvoked with: a, b")

    benchmarks.worker.open_backend = refuse
elif fault == "chatter":  # interpreters written in C++ print to descriptor 1
    import benchmarks.worker

    genuine = benchmarks.worker.open_backend

    def chatty(*arguments):
        os.write(1, b"INFO: Created delegate for CPU.\n")
        return genuine(*arguments)

    benchmarks.worker.open_backend = chatty

from benchmarks.worker import main  # noqa: E402

sys.stdin = io.StringIO(text)
main()
