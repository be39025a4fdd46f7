"""Explain several photos: which files are written, and drawing them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ImageError, UsageError
from ..files import refuse_existing, system_failures
from ..photos.file import read_photo
from ..photos.finding import PhotosIn
from ..sorting.moving import numbered, shortened

if TYPE_CHECKING:
    from ..heatmap import Explanation
    from .contact_sheet import Cell
    from .explain import Explainer

_PICTURES = (".png", ".jpg", ".jpeg")

#: Names that are meant for a picture, and not for a folder, but of a kind that is not written.
_OTHER_PICTURES = (".bmp", ".gif", ".pdf", ".svg", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class Job:
    """One photo.

    Attributes:
        photo: Its path.
        files: Where its overlays go, one a class; empty for none.
        sheet: The contact sheet that it goes into; None for none.
        folder: What is created for the files; None for nothing.
    """

    photo: str
    files: tuple[str, ...]
    sheet: str | None
    folder: str | None = None


def plan(
    paths: Sequence[str],
    classes: Sequence[str],
    out: str | None,
    sheet: str | None,
    overwrite: bool,
) -> list[Job]:
    """What is drawn where; nothing is written yet.

    Args:
        paths: What names photos, see :class:`~edge_runtime.photos.finding.PhotosIn`.
        classes: As the user names them; empty for each photo's answer.
        out: A picture's name or a folder; None for none.
        sheet: A contact sheet's name; None for none.
        overwrite: Whether files that are there are replaced.

    Returns:
        One job a photo.

    Raises:
        UsageError: A photo does not exist, or nothing would be drawn.
        OutputExists: A file is there already.
    """
    from ..heatmap import check_picture_name
    from .contact_sheet import check_count

    if out is None and sheet is None:
        raise UsageError("Nothing to write: give --out FILE, --out DIR or --sheet FILE.")
    photos = [found.path for group in PhotosIn(paths).groups() for found in group]
    count = len(photos) * max(1, len(classes))
    one_file = out is not None and out.lower().endswith(_PICTURES)
    if one_file and count > 1:
        if sheet is not None:
            raise UsageError(f"--out {out}: with --sheet, the name of a folder was expected.")
        out, sheet = None, out
    if out is not None and not one_file and Path(out).suffix.lower() in _OTHER_PICTURES:
        check_picture_name(out)
    if sheet is not None:
        check_picture_name(sheet)
        refuse_existing(sheet, overwrite)
        check_count(count)
    if out is None:
        return [Job(photo, (), sheet) for photo in photos]
    if one_file:
        refuse_existing(out, overwrite)
        return [Job(photos[0], (out,), sheet)]
    there = Path(out)
    while not os.path.lexists(there):
        there = there.parent
    if not there.is_dir():
        raise UsageError(f"--out {out}: {there} is not a folder. Choose another name.")
    jobs, taken = [], set[str]()
    for photo in photos:
        files = []
        named: Sequence[str | None] = classes or [None]
        for name in named:
            file = os.path.join(out, _unused(_stem(photo, name), taken))
            refuse_existing(file, overwrite)
            files.append(file)
        jobs.append(Job(photo, tuple(files), sheet, out))
    return jobs


class Drawing:
    """Draws jobs with one model.

    Attributes:
        cells: What the contact sheet shows so far.
    """

    def __init__(
        self, explainer: Explainer, caption: str, colormap: str, overwrite: bool, count: int
    ) -> None:
        """Begin; ``count`` is how many overlays there will be at most."""
        self._explainer, self._caption, self._colormap = explainer, caption, colormap
        self._overwrite, self._count = overwrite, count
        self.cells: list[Cell] = []

    def draw(self, job: Job, classes: Sequence[int | None]) -> list[dict[str, Any]]:
        """Explain a photo for some classes, None being its answer, and write its files.

        Returns:
            One row a class: ``path``, ``out`` (None without a file of its own), ``label``,
            ``index``, ``score``, ``error`` (None).

        Raises:
            ImageError: The photo cannot be read.
        """
        pixels = self._explainer.pixels(job.photo)
        content = _content(job.photo)
        rows = []
        for number, index in enumerate(classes):
            found = self._explainer.explain_pixels(pixels, index)
            file = job.files[number] if job.files else None
            self._draw_one(job, content, found, file)
            fields: dict[str, Any] = {
                "path": job.photo,
                "out": file,
                "label": found.label,
                "index": found.index,
            }
            rows.append(fields | {"score": found.score, "error": None})
        return rows

    def save_sheet(self, file: str) -> None:
        """Write the contact sheet."""
        from ..heatmap import save_picture
        from .contact_sheet import contact_sheet

        picture = contact_sheet(self.cells, self._caption, self._colormap)
        save_picture(picture, file, self._overwrite)

    def _draw_one(self, job: Job, content: bytes, found: Explanation, file: str | None) -> None:
        from ..heatmap import save_overlay
        from .contact_sheet import cell

        spec = self._explainer.info.preprocess
        if file is not None:
            if job.folder is not None:
                with system_failures(job.folder):
                    os.makedirs(job.folder, exist_ok=True)
            try:
                save_overlay(
                    content,
                    found,
                    spec,
                    file,
                    caption=self._caption,
                    colormap=self._colormap,
                    overwrite=self._overwrite,
                )
            except ImageError as error:  # decoded in full it may be damaged where a part was not
                raise ImageError(str(error).replace("<bytes>", job.photo, 1)) from error
        if job.sheet is not None:
            self.cells.append(
                cell(
                    content,
                    job.photo,
                    found,
                    spec,
                    count=self._count,
                    colormap=self._colormap,
                )
            )


def _content(photo: str) -> bytes:
    """As bytes: what is wrong with its name was warned of when the pixels were read."""
    try:
        return read_photo(photo)[0]
    except ImageError as error:
        raise ImageError(f"{photo}: {error}") from error


def _stem(photo: str, name: str | None) -> str:
    stem = Path(photo).stem
    if name is not None:
        stem += "-" + "".join(c if c.isalnum() or c in "-_." else "_" for c in name)
    return shortened(stem)


def _unused(stem: str, taken: set[str]) -> str:
    """A file name that no other photo of this run has; case does not tell names apart."""
    name = next(name for name in numbered(f"{stem}.jpg") if name.lower() not in taken)
    taken.add(name.lower())
    return name
