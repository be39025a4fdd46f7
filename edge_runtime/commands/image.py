"""``edge-classify image``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from ..console import EdgeCommand, json_option, overwrite_option
from ..errors import UsageError
from .options import model_options

if TYPE_CHECKING:
    from ..classifier import Classifier
    from ..engine import Engine
    from ..meanwhile import FirstPhoto
    from ..settings import ModelSettings

#: As in :mod:`edge_runtime.output`, which the help does not have to load.
_FORMATS = ("text", "table", "csv", "jsonl")


@click.command(
    cls=EdgeCommand,
    example="edge-classify image --model bundle photo.jpg holiday/ --top-k 3 --output table",
)
@model_options
@click.argument("paths", nargs=-1, metavar="PATH...")
@click.option(
    "--top-k", type=click.IntRange(1), default=5, show_default=True, help="Classes listed."
)
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    help="Answers whose calibrated score (or, without one, score) is under it are unknown. "
    "Default: the model's own.",
)
@click.option(
    "--roi",
    metavar="L,T,R,B",
    help="Look only at this part of each photo, in fractions of its width and height from the "
    "upper left corner (0.25,0,0.75,1) or percent (25%,0%,75%,100%).",
)
@click.option(
    "--batch",
    type=click.IntRange(1),
    help="Photos in one run of the model, if it takes several. Default: as many as it asks for.",
)
@click.option(
    "--workers",
    type=click.IntRange(0, 256),
    help="Threads that decode photos ahead. Default: the usable cores, at most 4.",
)
@click.option(
    "--output",
    type=click.Choice(_FORMATS),
    help="Form of the answers. Default: by the extension of --out, else text.",
)
@json_option("The same as --output jsonl: one JSON object a photo, and nothing else on stdout.")
@click.option("--out", metavar="FILE", help="Write the answers to a file; --watch adds to it.")
@overwrite_option("an existing --out file and heat maps")
@click.option(
    "-0", "--null", "nul", is_flag=True, help="Paths on standard input end with NUL, not newline."
)
@click.option("--copy-to", metavar="DIR", help="Copy each photo into DIR/LABEL/.")
@click.option("--move-to", metavar="DIR", help="Move each photo into DIR/LABEL/.")
@click.option("--heatmap", metavar="DIR", help="Draw where the network looked, a picture a photo.")
@click.option(
    "--watch", metavar="DIR", help="Then classify each photo that arrives in DIR, until Ctrl-C."
)
@click.option("--existing", is_flag=True, help="With --watch: what is in DIR already, too.")
def image(
    model: str,
    fmt: str | None,
    engine: Engine,
    settings: ModelSettings | None,
    paths: tuple[str, ...],
    top_k: int,
    threshold: float | None,
    roi: str | None,
    batch: int | None,
    workers: int | None,
    output: str | None,
    as_json: bool,
    out: str | None,
    overwrite: bool,
    nul: bool,
    copy_to: str | None,
    move_to: str | None,
    heatmap: str | None,
    watch: str | None,
    existing: bool,
) -> None:
    """Classify photos.

    PATH is a file, a folder (all photos below it), a pattern in quotes ('holiday/**/*.jpg') or - for
    a list of paths on standard input. An unreadable photo has an error instead of a label; the others
    go on, and the exit code is 1.

    --copy-to and --move-to sort photos into a folder per label, "unknown" for those under the
    threshold. Nothing is overwritten, unreadable photos stay, and `edge-classify undo DIR` takes it
    back. --watch looks for new photos twice a second and reads each once it has not changed for a
    second.
    """
    if not paths and watch is None:
        raise click.UsageError("Missing argument 'PATH...'.")
    from ..photo_run import Wishes, classify_photos

    box = None
    if roi is not None:
        from ..photos.roi import parse_roi

        box = parse_roi(roi)
    wishes = Wishes(
        paths=paths,
        nul=nul,
        watch=watch,
        existing=existing,
        k=top_k,
        threshold=threshold,
        roi=box,
        batch=batch,
        workers=workers,
        output=_form(output, as_json, out),
        out=out,
        overwrite=overwrite,
        copy_to=copy_to,
        move_to=move_to,
        heatmap=heatmap,
    )

    def open_classifier(first: FirstPhoto | None) -> Classifier:
        from ..classifier import Classifier

        return Classifier.open(
            model, fmt, engine=engine, settings=settings, probe=True, first=first
        )

    classify_photos(wishes, open_classifier)


def _form(output: str | None, as_json: bool, out: str | None) -> str:
    """The name of the form, from three options of which each may say it."""
    if as_json:
        if output not in (None, "jsonl"):
            raise UsageError(f"--json means --output jsonl, and --output {output} was given.")
        return "jsonl"
    if output is None and out is not None:
        from ..output import BY_EXTENSION

        extension = os.path.splitext(out)[1].lower()
        if extension in (".xls", ".xlsx", ".ods", ".parquet", ".tsv", ".html", ".xml"):
            raise UsageError(
                f"--out {out}: {extension} files are not written; .csv, .jsonl and .txt are. Name "
                "one of those, or say what to write with --output."
            )
        return BY_EXTENSION.get(extension, "text")
    return output or "text"
