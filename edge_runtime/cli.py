"""``edge-classify``: classify photos and camera streams, explain an answer, look into a model.

Run ``edge-classify image --model bundle photo.jpg``.
"""

from __future__ import annotations

import gc

import click

from .console import EdgeGroup, LazyCommands, version_option

# Loading modules makes objects that stay, over which a collection every 700 would run in vain: a
# tenth of the start-up. Photos are freed by their reference counts.
gc.set_threshold(50_000, 20, 20)


#: A command is imported when it is asked for; one that reads photos does not load another's needs.
_COMMANDS = ("image", "stream", "gradcam", "info", "doctor", "selftest", "serve", "undo")


@click.group(
    cls=EdgeGroup,
    commands=LazyCommands("edge_runtime.commands", *_COMMANDS),
    quick_exit=True,
)
@version_option("edge-classify")
def cli() -> None:
    """Classify photos and camera streams on a small board."""


if __name__ == "__main__":
    cli()
