"""ONNX, float32."""

from __future__ import annotations

import shutil

from .job import Job


def convert(job: Job) -> None:
    """Write the file."""
    shutil.copyfile(job.source.onnx(), job.target)
