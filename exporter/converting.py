"""What the converters of all formats share: silence, and one kind of error."""

from __future__ import annotations

import contextlib
import gc
import io
import logging
import warnings
from collections.abc import Iterator

from edge_runtime.errors import EdgeError, ModelError, system_failure
from edge_runtime.quiet import quiet_stderr

_log = logging.getLogger("exporter")


@contextlib.contextmanager
def converting(what: str) -> Iterator[None]:
    """Run somebody else's converter: quietly, and with its failure as a ModelError.

    TensorFlow, the TFLite converter and tf2onnx each write to stderr in a way of their own: C++
    to the file descriptor, Python through logging and warnings. Nothing of it helps a user.

    Args:
        what: Name of the format, for the message.

    Raises:
        ModelError: The converter failed; the message ends with its reason.
        SystemFailure: The system refused it a place on the disk, or memory.
    """
    level = logging.root.manager.disable
    # Converters drop whole copies of the graph, in reference cycles. With everything that
    # exists so far set aside, the collector runs often enough to take them: 1 GB less at the
    # peak for EfficientNetB0.
    gc.collect()
    gc.freeze()
    try:
        with (
            quiet_stderr(),
            contextlib.redirect_stdout(io.StringIO()),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            logging.disable(logging.ERROR)
            try:
                yield
            finally:
                logging.disable(level)
    except EdgeError:
        raise
    except Exception as error:  # converters raise anything
        failure = system_failure(error)
        if failure is not None:
            raise failure from error
        _log.debug("%s: %s", what, error)
        raise ModelError(f"{what}: the converter failed ({_reason(error)}).") from error
    finally:
        gc.unfreeze()
        gc.collect()


def _reason(error: Exception) -> str:
    """First line of an error's message, as the converters bury it in a page of graph."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__
