"""What of a TFLite file runs in the delegate that was asked for; imported where that is asked."""

from __future__ import annotations

from typing import Any

from ..engine import Engine
from ..errors import EdgeError
from ..records import replace
from .delegates import Delegate, describe, placement
from .interpreters import Loaded, open_interpreter


def describe_placement(
    loaded: Loaded, model: str | bytes, engine: Engine, where: str
) -> dict[str, Any]:
    """What runs a loaded model.

    The interpreter gives XNNPACK what a library's delegate leaves over, and tells the parts of both
    alike; so these are counted in a second interpreter that has no XNNPACK.

    Args:
        loaded: The model.
        model: Path or contents of its file.
        engine: What it was loaded with.
        where: Name of the file, for messages.

    Returns:
        ``delegate``, for people, and ``placement`` in the delegate that was asked for, see
        :func:`.delegates.placement`; None where nobody tells.
    """
    delegate, found = loaded.delegate, placement(loaded.interpreter)
    if delegate.kind not in ("library", "edgetpu") or found is None:
        return {"delegate": describe(delegate, found), "placement": found}
    same = replace(engine, interpreter=loaded.name)
    try:
        own = placement(open_interpreter(model, same, where, alone=True).interpreter)
    except EdgeError:  # a device that only one may use at a time
        own = None
    if own is not None and not own["delegated"]:  # all that was found is XNNPACK's
        delegate = Delegate()
    else:
        found = own
    return {"delegate": describe(delegate, found), "placement": own}
