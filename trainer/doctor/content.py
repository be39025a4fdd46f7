"""What a file holds, by its first bytes."""

from __future__ import annotations

#: Bytes of a file's beginning that :func:`describe_content` looks at.
HEAD = 1024

#: Formats that the toolkit opens, by their first bytes (``None``: any four bytes).
_PHOTOS = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF8", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
)

_OTHERS = (
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive or an office document"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"8BPS", "a Photoshop picture"),
    (b"\0\0\x01\0", "an icon"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 picture"),
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL picture"),
    (b"\x1aE\xdf\xa3", "a Matroska or WebM video"),
    (b"MZ", "a Windows program"),
    (b"\x7fELF", "a program"),
    (b"SQLite format 3", "a database"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x89HDF", "an HDF5 file"),
)

#: Brands of the ISO base media file format (ISO/IEC 14496-12) that are photos.
_PHOTO_BRANDS = {
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"), "HEIC"),
    **dict.fromkeys((b"avif", b"avis"), "AVIF"),
}

_CONTROL = set(range(32)) - {7, 8, 9, 10, 12, 13, 27}


def photo_format(head: bytes) -> str | None:
    """Name of the photo format that begins so, of those that the toolkit opens."""
    for magic, name in _PHOTOS:
        if head.startswith(magic):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    # "BM" alone begins many a text; the header that follows has one of these sizes.
    if head[:2] == b"BM" and head[14:18] in {
        bytes((n, 0, 0, 0)) for n in (12, 40, 52, 56, 108, 124)
    }:
        return "BMP"
    return _PHOTO_BRANDS.get(head[8:12]) if head[4:8] == b"ftyp" else None


def describe_content(head: bytes) -> str | None:
    """What a file is that is no photo, in words; None if nothing speaks.

    Args:
        head: The first :data:`HEAD` bytes of the file, or all if it has fewer.
    """
    if not head:
        return "nothing (0 bytes)"
    if not head.strip(b"\0"):
        return "zero bytes only"
    if photo_format(head) is not None:
        return None
    for magic, name in _OTHERS:
        if head.startswith(magic):
            return name
    if head[4:8] == b"ftyp":
        return "an MP4 or QuickTime video"
    return _describe_text(head)


def _describe_text(head: bytes) -> str | None:
    if head.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer; fetch the photo with: git lfs pull"
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:512].lower()
    if start.startswith((b"<!doctype html", b"<html")) or b"<html" in start:
        return "an HTML page"
    if b"<svg" in start:
        return "an SVG drawing"
    if start.startswith(b"<?xml"):
        return "XML"
    return None if _CONTROL & set(head) else "text"
