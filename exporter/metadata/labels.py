"""Class names as a text file."""

from __future__ import annotations

from collections.abc import Sequence

from edge_runtime.errors import ModelError
from edge_runtime.manifest import LABELS_NAME


def labels_text(names: Sequence[str]) -> str:
    """Contents of ``labels.txt``: one class name a line, in index order.

    Raises:
        ModelError: A name cannot stand on one line of a UTF-8 text file.
    """
    for name in names:
        if name.splitlines() != [name]:
            raise ModelError(
                f"class name {name!r}: empty or with a line break, so it cannot stand in "
                f"{LABELS_NAME}. Rename the class folder and train again."
            )
        try:
            name.encode()
        except UnicodeEncodeError as error:
            raise ModelError(
                f"class name {name!r}: not UTF-8, so it cannot stand in {LABELS_NAME}. "
                "Rename the class folder and train again."
            ) from error
    return "".join(f"{name}\n" for name in names)
