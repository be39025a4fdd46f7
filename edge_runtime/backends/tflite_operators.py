"""Operators of a TFLite file: their names, versions and counts, read without an interpreter.

Fields are those of ``schema.fbs``, see :mod:`.tflite_codes`.
"""

from __future__ import annotations

import struct
from collections import Counter

from ..errors import ModelError
from .flatbuffer import Table
from .operators import UsedOperator, most_frequent_first
from .tflite_codes import CUSTOM, operator_name


def read_operators(data: bytes, where: str) -> list[UsedOperator]:
    """The operators of all graphs of a file, the most frequent first.

    Args:
        data: The file.
        where: Its name, for messages.

    Raises:
        ModelError: It is damaged.
    """
    try:
        model = Table.root(data)
        codes = [_code(table) for table in model.tables(1)]
        used = Counter(
            codes[operator.number(0, "uint")]
            for graph in model.tables(2)
            for operator in graph.tables(3)
        )
    except (struct.error, IndexError) as error:
        raise ModelError(f"{where}: damaged or cut off. Export or copy it again.") from error
    return most_frequent_first(UsedOperator(*code, count) for code, count in used.items())


def _code(table: Table) -> tuple[str, int]:
    name = operator_name(table)
    version = table.number(2, "int", 1)
    return (table.text(1) or "custom") if name == CUSTOM else name, version
