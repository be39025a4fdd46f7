"""Read a result from a file, and refuse what is none."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, cast

from edge_runtime.errors import DataError, UsageError
from edge_runtime.files import system_failures

from .result import SCHEMA_VERSION, Result
from .schema import faults

#: A result of hundreds of rows has some megabytes.
_MAX_BYTES = 256 << 20


def read_result(path: str | os.PathLike[str]) -> Result:
    """A result that ``edge-bench run`` wrote.

    Args:
        path: JSON file.

    Raises:
        UsageError: There is no such file.
        DataError: It is no result, one of another version, or damaged.
        SystemFailure: It cannot be read.
    """
    where = os.fspath(path)
    if not os.path.exists(path):
        raise UsageError(f"{where}: no such file. Expected what edge-bench run --out X.json wrote.")
    if os.path.isdir(path):
        raise UsageError(f"{where}: is a folder. Expected what edge-bench run --out X.json wrote.")
    with system_failures(path):
        if os.path.getsize(path) > _MAX_BYTES:
            raise DataError(f"{where}: too large for a result of edge-bench.")
        content = Path(path).read_bytes()
    try:
        data = json.loads(content, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not JSON ({error}).") from error
    return check_result(data, where)


def check_result(data: Any, where: str) -> Result:
    """Parsed JSON as a result.

    Raises:
        DataError: It is none, one of another version, or a value is missing or cannot be right.
    """
    if not isinstance(data, dict) or "schema_version" not in data or "rows" not in data:
        raise DataError(f"{where}: not a result of edge-bench. Expected a file that run wrote.")
    version = data["schema_version"]
    if version != SCHEMA_VERSION:
        remedy = (
            "Measure again with this version."
            if version == 1
            else "Use the version of edge-bench that wrote it."
        )
        raise DataError(
            f"{where}: has layout {version!r}, this edge-bench reads {SCHEMA_VERSION}. {remedy}"
        )
    found = next(faults(data), None)
    if found is not None:
        raise DataError(f"{where}: not a whole result of edge-bench: {found}.")
    names = [row["name"] for row in data["rows"]]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"{where}: the row {twice!r} is in it twice.")
    return cast("Result", data)


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no number")
