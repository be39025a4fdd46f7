"""Which row of one run is which of another."""

from __future__ import annotations

from ..result import Result, Row


def match_rows(before: Result, after: Result) -> dict[str, Row]:
    """The later rows, each by the name of the earlier one that it belongs to.

    A row's name tells its interpreter, which a process chose that may die before it says so: the
    same row is then called ``tflite-int8, 1 thread`` in one run and ``tflite-int8, litert, 1
    thread`` in the other. Such a row belongs to the only one of the other run that is left and is
    called the same but for the interpreter.

    Args:
        before: The earlier run.
        after: The later one.

    Returns:
        Rows without a partner have their own name.
    """
    first = {row["name"]: row for row in before["rows"]}
    second = {row["name"]: row for row in after["rows"]}
    left = [row for name, row in first.items() if name not in second]
    found = {name: row for name, row in second.items() if name in first}
    for name, row in second.items():
        if name in first:
            continue
        fitting = [one for one in left if _same_but_unnamed(one, row)]
        partner = fitting[0] if len(fitting) == 1 else None
        if partner is not None:
            left.remove(partner)
        found[name if partner is None else partner["name"]] = row
    return found


def _same_but_unnamed(one: Row, other: Row) -> bool:
    interpreters = one["engine"]["interpreter"], other["engine"]["interpreter"]
    return None in interpreters and _bare_name(one) == _bare_name(other)


def _bare_name(row: Row) -> str:
    interpreter = row["engine"]["interpreter"]
    return row["name"] if interpreter is None else row["name"].replace(f", {interpreter}", "", 1)
