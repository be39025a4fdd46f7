"""Stands in for ``python -m benchmarks.measuring.worker``: FAULT_<FORMAT> happens to that format.

FAULT_TASK names the task that it happens to, else it is each.
"""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import time

text = sys.stdin.read()
request = json.loads(text)
name = "FAULT_" + str(request["format"]).replace("-", "_").upper()
fault = os.environ.get(name)
if os.environ.get("FAULT_TASK") not in (None, request["task"]):
    fault = None
if fault == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
elif fault == "sleep":
    time.sleep(600)
elif fault == "interrupt":  # as Ctrl-C, which reaches the whole group: the parent has it too
    os.kill(os.getppid(), signal.SIGINT)
    time.sleep(600)
elif fault == "raise":
    import benchmarks.measuring.worker

    def refuse(*_):
        raise TypeError("incompatible function arguments.\nInvoked with: a, b")

    benchmarks.measuring.worker.open_request = refuse
elif fault == "chatter":  # interpreters written in C++ print to descriptor 1
    import benchmarks.measuring.worker

    genuine = benchmarks.measuring.worker.open_request

    def chatty(*arguments):
        os.write(1, b"INFO: Created delegate for CPU.\n")
        return genuine(*arguments)

    benchmarks.measuring.worker.open_request = chatty

from benchmarks.measuring.worker import main  # noqa: E402

sys.stdin = io.StringIO(text)
main()
