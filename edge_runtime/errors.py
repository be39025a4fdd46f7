"""The toolkit's exceptions, one tree, each with the exit code of the command line.

::

    EdgeError                 1  an unexpected failure
    ├── InputsFailed          1  some inputs failed, the others were done
    ├── ChildDied             1  a child process ended without an answer
    ├── Overdue               1  a child process took longer than it was given
    ├── UsageError            2  a wrong option, format, key or path
    │   └── OutputExists      2  the output is there and --overwrite was not given
    ├── DataError             3  bad data or model; nothing was written
    │   ├── ImageError        3  one photo cannot be read
    │   ├── ModelError        3  a model file, run or bundle cannot be used
    │   │   ├── BundleError   3  a bundle contradicts its manifest
    │   │   └── UnsupportedOperator  3  no interpreter here knows all that a model file needs
    │   └── DatasetError      3  a folder of photos cannot be trained or evaluated on
    ├── CheckFailed           4  parity, regression or self-test did not hold
    ├── MissingComponent      5  a package is not installed, or a download failed
    └── SystemFailure         6  disk full, no permission, no memory

Libraries raise these; only the command lines turn them into messages and exit codes.
"""

from __future__ import annotations

import errno
import os
import shlex

#: What the operating system refuses for no fault of the data or of this program.
_SYSTEM_ERRNOS = {
    errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EMFILE, errno.EIO,
    errno.ENOMEM, errno.EFBIG,
}  # fmt: skip

#: Of these, what space elsewhere helps against.
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG}

#: C++ libraries report a disk that takes no more as text in an exception of their own.
_FULL_DISK = tuple(os.strerror(n) for n in (errno.ENOSPC, errno.EDQUOT, errno.EROFS))


class EdgeError(Exception):
    """Base of every error that the toolkit raises on purpose.

    The message says what was expected, what was found, where, and what to do.
    """

    exit_code = 1


class InputsFailed(EdgeError):
    """Some inputs failed while the others were done."""


class ChildDied(EdgeError):
    """A child process was killed, crashed or ended before it answered."""


class Overdue(EdgeError):
    """A child process did not answer in the time that it was given."""


class UsageError(EdgeError):
    """The caller asked for something that does not exist or makes no sense."""

    exit_code = 2


class OutputExists(UsageError):
    """The output exists and overwriting it was not asked for."""


class DataError(EdgeError):
    """The data or the model is bad; nothing was written."""

    exit_code = 3


class ImageError(DataError):
    """One photo cannot be turned into a tensor."""


class ModelError(DataError):
    """A model file, run directory or bundle cannot be used."""


class BundleError(ModelError):
    """A bundle contradicts its own manifest."""


class UnsupportedOperator(ModelError):
    """A whole model file needs operators that the interpreter does not know; another one may."""


class DatasetError(DataError):
    """A folder of photos cannot be used as a data set."""


class CheckFailed(EdgeError):
    """A check (parity, regression, self-test) did not hold."""

    exit_code = 4


class MissingComponent(EdgeError):
    """A package is missing or a download failed; the message names the remedy."""

    exit_code = 5


class SystemFailure(EdgeError):
    """The operating system refused: disk full, no permission, no memory."""

    exit_code = 6


def missing_package(package: str, extra: str, purpose: str) -> MissingComponent:
    """The error for a package that is not installed.

    Args:
        package: Name of the package that could not be imported.
        extra: Extra of ``edge-classify`` that installs it.
        purpose: What it is needed for, as the object of "needed to ...".

    Returns:
        An error to raise ``from`` the ImportError.
    """
    return MissingComponent(
        f"{package} is needed to {purpose}, and is not installed. "
        f"Install it with: pip install 'edge-classify[{extra}]'"
    )


def system_failure(error: BaseException) -> SystemFailure | None:
    """The error for a refusal of the operating system; None if ``error`` is something else.

    Args:
        error: Any exception: an OSError, a MemoryError, or a C++ library's own.
    """
    if isinstance(error, MemoryError):
        return SystemFailure("out of memory. Use smaller batches or images.")
    if isinstance(error, OSError):
        if error.errno not in _SYSTEM_ERRNOS:
            return None
        # A file that is open already, standard output for one, has no name in the error.
        place = f"{error.filename}: " if error.filename else "writing failed: "
        remedy = " Free some space or write elsewhere." if error.errno in _FULL else ""
        return SystemFailure(f"{place}{error.strerror}.{remedy}")
    reason = next((reason for reason in _FULL_DISK if reason in str(error)), None)
    return None if reason is None else SystemFailure(f"{reason}. Free some space.")


def first_line(error: Exception, otherwise: str | None = None) -> str:
    """First line of another library's message, for a message of our own.

    Args:
        error: What the library raised.
        otherwise: What stands for an empty message; None for the name of the error's type.
    """
    return (str(error).strip() or otherwise or type(error).__name__).splitlines()[0]


def shell_command(*words: str | os.PathLike[str]) -> str:
    """A command for a message, quoted so that it can be copied into a shell."""
    return shlex.join([os.fspath(word) for word in words])
