"""Lock files that several processes agree by (flock(2)); a lock ends with its process."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO


def locked(file: Path, how: int = fcntl.LOCK_EX) -> IO[bytes]:
    """Open and lock a file; closing it ends the lock.

    Raises:
        BlockingIOError: Another process holds it, and ``how`` says not to wait.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    while True:
        stream = open(file, "ab")  # noqa: SIM115  # the lock lasts as long as it is open
        try:
            fcntl.flock(stream, how)
            if os.path.exists(file) and os.path.samestat(os.fstat(stream.fileno()), file.stat()):
                return stream
        except BaseException:
            stream.close()
            raise
        stream.close()  # removed while this process waited
