"""``--snapshots``: a picture of each event's frame, its heat map, and JSON that says what it was.

::

    20261124T153332.123Z-42-water_bottle.jpg          the frame, as it came
    20261124T153332.123Z-42-water_bottle.heatmap.jpg  with the heat map over it, and a legend
    20261124T153332.123Z-42-water_bottle.json         the event and the answer

Names sort by time, in UTC. The JSON is written last: where it is, the pictures are whole.
"""

from __future__ import annotations

import datetime
import json
import os
import re
import unicodedata

from PIL import Image

from ...errors import UsageError
from ...files import atomic_file, system_failures
from ...heatmap import draw_overlay, save_picture
from ..results import Event, FrameResult
from ..status import Status
from .base import Output
from .kept_files import KeptFiles, found_groups
from .messages import message, state_of

#: Characters of a label in a name.
_LONGEST = 60

#: Names of ours, of which the oldest may be removed.
_OURS = re.compile(r"(\d{8}T\d{6}\.\d{3}Z-\d+-[\w.-]+?)(?:\.heatmap)?\.(?:jpg|json)")


class Snapshots(Output):
    """Writes pictures into a folder."""

    name = "snapshots"
    wants_results = False
    capacity = 8

    def __init__(
        self,
        folder: str,
        status: Status,
        *,
        heatmaps: bool = True,
        most: int | None = None,
        most_bytes: int | None = None,
    ) -> None:
        """Make the folder, and see what is in it from earlier.

        Args:
            folder: Made if it is not there.
            status: Of the stream, for names.
            heatmaps: Whether a picture with the heat map is written, where the model has one.
            most: Events at most that are kept; the oldest go.
            most_bytes: Bytes at most of all that is kept.

        Raises:
            UsageError: It is a file.
            SystemFailure: It cannot be made or written.
        """
        self._folder, self._status = folder, status
        self.wants_heatmaps = heatmaps
        if os.path.lexists(folder) and not os.path.isdir(folder):
            raise UsageError(f"--snapshots {folder}: is not a folder.")
        with system_failures(folder):
            os.makedirs(folder, exist_ok=True)
            with atomic_file(os.path.join(folder, ".try")) as trial:
                trial.write_bytes(b"")
            os.unlink(os.path.join(folder, ".try"))
        self._kept = KeptFiles(most, most_bytes)
        for group in found_groups(folder, _OURS):
            self._kept.add(group)

    def event(self, event: Event) -> None:
        """Write the frame of an event that has one."""
        result = event.result
        if result is None:
            return
        stem = os.path.join(self._folder, _stem(event, result))
        picture = Image.fromarray(result.frame.pixels)
        files = [f"{stem}.jpg"]
        save_picture(picture, files[0], overwrite=True)
        if self.wants_heatmaps and self._save_heatmap(picture, result, f"{stem}.heatmap.jpg"):
            files.append(f"{stem}.heatmap.jpg")
        files.append(f"{stem}.json")
        told = message(event, self._status.source) | {
            "model": self._status.model,
            "pictures": [os.path.basename(file) for file in files[:-1]],
            "result": result.to_dict(),
        }
        with atomic_file(files[-1]) as temporary:
            temporary.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
        self._kept.add(files)

    def _save_heatmap(self, picture: Image.Image, result: FrameResult, file: str) -> bool:
        explanation, spec = result.prediction.explanation, result.spec
        if explanation is None or spec is None:
            return False
        caption = f"{self._status.source}, frame {result.frame.number}"
        drawn = draw_overlay(picture, explanation, spec, roi=result.roi, caption=caption)
        save_picture(drawn, file, overwrite=True)
        return True


def _stem(event: Event, result: FrameResult) -> str:
    moment = datetime.datetime.fromtimestamp(event.time, datetime.timezone.utc)
    stamp = f"{moment:%Y%m%dT%H%M%S}.{moment.microsecond // 1000:03d}Z"
    label = state_of(event) or event.kind
    return f"{stamp}-{result.frame.number}-{safe_name(label)}"


def safe_name(label: str) -> str:
    """A label as part of a file's name on every file system: ASCII letters, digits, ``._-``.

    What is left of a label in another script is ``label``; the JSON has it as it is.
    """
    plain = unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9.-]+", "_", plain).strip("._-")[:_LONGEST] or "label"
