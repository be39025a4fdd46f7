"""A worker of the fuzzer that does what no input should make it do, by the number."""

from __future__ import annotations

import json
import os
import sys


def main() -> None:
    sys.stdout.write("\n")
    sys.stdout.flush()
    for line in sys.stdin:
        number = json.loads(line)["number"]
        if number == 1:
            os.abort()
        while number == 2:
            pass
        kept = bytearray(b"x" * (400 << 20)) if number == 3 else b""
        if number == 3:
            while True:
                pass
        mb = 5_000.0 if number == 4 else float(len(kept))
        outcome = {"outcome": "ok"} if number != 5 else {"outcome": "unexpected", "trace": "odd"}
        sys.stdout.write(json.dumps(outcome | {"name": "", "seconds": 0.0, "mb": mb}) + "\n")
        sys.stdout.flush()


main()
