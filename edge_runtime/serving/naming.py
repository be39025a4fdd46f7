"""Names of the models, as the command line gives them."""

from __future__ import annotations

import os
import re

from ..errors import UsageError

#: What a name may be: it stands in addresses.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")

_ENDINGS = (".tflite", ".onnx", ".keras", ".zip")


def named_models(words: tuple[str, ...]) -> dict[str, str]:
    """Paths by name, in the order in which they were given.

    Args:
        words: Each a path, or ``NAME=PATH``. A path that exists is one, whatever is in it; a name
            that is not given is the file's, without its ending, and with a number where another
            model has it.

    Raises:
        UsageError: A name cannot be one, or was given twice.
    """
    found: dict[str, str] = {}
    for word in words:
        name, equals, path = word.partition("=")
        if not equals or os.path.exists(word):
            found[_free(_stem(word), found)] = word
            continue
        if not _NAME.match(name):
            raise UsageError(
                f"{word}: a name has up to 64 letters, digits and . _ - and begins with a letter or "
                "a digit."
            )
        if not path:
            raise UsageError(f"{word}: expected NAME=PATH, and there is no path.")
        if name in found:
            raise UsageError(f"{word}: another model is called {name} already.")
        found[name] = path
    return found


def _stem(path: str) -> str:
    base = os.path.basename(os.path.abspath(path))
    for ending in _ENDINGS:
        if base.lower().endswith(ending):
            base = base[: -len(ending)]
            break
    base = re.sub(r"[^A-Za-z0-9._-]+", "-", base).strip("-._")[:60]
    return base or "model"


def _free(name: str, taken: dict[str, str]) -> str:
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}-{number}"
    return free
