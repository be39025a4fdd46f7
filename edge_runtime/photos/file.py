"""A photo's file, and how large it and its picture may be."""

from __future__ import annotations

import os
import stat

from ..errors import ImageError

#: MiB that a photo's file may have, and the variable that sets another number.
MAX_FILE_MB, FILE_VARIABLE = 256.0, "EDGE_CLASSIFY_MAX_FILE_MB"

#: Megapixels that are decoded at most, and the variable that sets another number. Decoding takes
#: up to eight bytes a pixel, so the default stays below 1 GB.
MAX_MEGAPIXELS, MEGAPIXELS_VARIABLE = 100.0, "EDGE_CLASSIFY_MAX_MEGAPIXELS"


def setting(variable: str, default: float) -> float:
    """A limit that an environment variable may move.

    Raises:
        ImageError: The variable is no positive number.
    """
    text = os.environ.get(variable)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not value > 0:
        raise ImageError(f"{variable}={text!r}: expected a number greater than 0.")
    return value


def check_pixels(width: int, height: int, times: int = 1) -> None:
    """Raise ImageError for more pixels than are decoded, before memory is allocated for them.

    Args:
        width: Of the picture.
        height: Of the picture.
        times: How many times the limit is allowed.
    """
    limit = setting(MEGAPIXELS_VARIABLE, MAX_MEGAPIXELS)
    if width * height > limit * 1e6 * times:
        raise ImageError(
            f"{width} x {height} pixels are more than the {limit:g} megapixels that are decoded. "
            f"Scale it down first, or set {MEGAPIXELS_VARIABLE}."
        )


def read_photo(path: str | os.PathLike[str]) -> tuple[bytes, os.stat_result]:
    """A photo's file, read at once (Pillow would keep it open), and its status.

    Args:
        path: The file.

    Raises:
        ImageError: It cannot be read, or is larger than a photo; the message lacks its name.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # to open a pipe would wait for ever
            raise ImageError("not a regular file.")
        with open(path, "rb") as stream:
            status = os.fstat(stream.fileno())
            size = status.st_size
            limit = setting(FILE_VARIABLE, MAX_FILE_MB)
            if size > limit * (1 << 20):
                raise ImageError(
                    f"{size / (1 << 20):,.0f} MiB are more than the {limit:g} MiB that are read. "
                    f"Scale it down first, or set {FILE_VARIABLE}."
                )
            return stream.read(size), status  # of a file that grows meanwhile, what there was
    except FileNotFoundError as error:
        raise ImageError("no such file.") from error
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise ImageError(f"{reason[:1].lower()}{reason[1:]}.") from error
