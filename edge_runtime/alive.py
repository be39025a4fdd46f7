"""Is a stream alive? What its ``--state FILE`` says, for a health check that costs little."""

from __future__ import annotations

import datetime
import json
import os
from typing import Any

#: Seconds after which a state file, and the last result in it, count as old.
MAX_AGE = 10.0


def check_state(path: str | os.PathLike[str], max_age: float = MAX_AGE) -> tuple[bool, str]:
    """Whether a stream works, and a line that says so.

    It does if its file was written, and its last frame answered, in the last ``max_age`` seconds;
    or if it is starting. A stream that waits for its source lives, and does not work.

    Args:
        path: What ``--state`` named.
        max_age: Seconds.
    """
    try:
        with open(path, encoding="utf-8") as stream:
            found = json.load(stream)
        return _judge(found, max_age)
    except FileNotFoundError:
        return False, f"{os.fspath(path)}: no such file; has the stream been started with --state?"
    except OSError as error:
        return False, f"{os.fspath(path)}: {error.strerror}."
    except (ValueError, KeyError, TypeError, AttributeError):
        return False, f"{os.fspath(path)}: not a state file of edge-classify stream."


def _judge(found: dict[str, Any], max_age: float) -> tuple[bool, str]:
    state = found["state"]
    written = datetime.datetime.fromisoformat(found["updated"])
    age = (datetime.datetime.now(datetime.timezone.utc) - written).total_seconds()
    if state == "stopped":
        return False, f"stopped {age:.0f} s ago."
    if abs(age) > max_age:
        return False, f"{state}, but its file was last written {age:.0f} s ago."
    if state == "waiting for source":
        reason = f"{found['source_state']} for {found['source_state_s']:.0f} s"
        return False, f"waiting for source {found['source']} ({reason})."
    if state == "starting":
        return True, "starting."
    silent = found["last_result_s"]
    if silent is None or silent > max_age:
        since = "yet" if silent is None else f"for {silent:.0f} s"
        young = silent is None and found["source_state_s"] <= max_age
        return young, f"running, no frame answered {since}."
    steady = found["steady"]
    label = None if steady is None else "unknown" if steady["unknown"] else steady["label"]
    said = "" if label is None else f"{label}, "
    return True, f"running: {said}{found['fps']:.1f} results a second."
