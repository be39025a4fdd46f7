"""``edge-classify``: classify photos and camera streams, explain an answer, look into a model.

Run ``edge-classify image --model bundle photo.jpg``.
"""

from __future__ import annotations

import click

from .commands.doctor import doctor
from .commands.gradcam import gradcam
from .commands.image import image
from .commands.info import info
from .commands.selftest import selftest
from .commands.stream import stream
from .console import EdgeGroup, version_option


@click.group(cls=EdgeGroup)
@version_option("edge-classify")
def cli() -> None:
    """Classify photos and camera streams on a small board."""


for command in (image, stream, gradcam, info, doctor, selftest):
    cli.add_command(command)


if __name__ == "__main__":
    cli()
