"""``edge-train augment-preview``."""

from __future__ import annotations

from typing import get_args

import click

from edge_runtime.console import EdgeCommand, json_option, overwrite_option, print_json

from ..config.levels import Level
from .options import source_options


@click.command(
    "augment-preview",
    cls=EdgeCommand,
    example="edge-train augment-preview photos/ --out grid.png --level heavy",
)
@click.argument("data", metavar="DATA")
@click.option("--out", required=True, metavar="FILE", help="PNG file to write.")
@click.option("--level", type=click.Choice(get_args(Level)), help="Same as --set augment.level=...")
@source_options
@click.option(
    "--count", type=click.IntRange(1, 200), default=8, show_default=True, help="Photos, a row each."
)
@click.option(
    "--views", type=click.IntRange(1, 30), default=6, show_default=True, help="Views of a photo."
)
@click.option("--seed", type=int, metavar="N", help="Of photos and changes. Default: 0.")
@overwrite_option("an existing file")
@json_option()
def augment_preview(
    data: str,
    out: str,
    level: str | None,
    preset: str | None,
    config: str | None,
    assignments: tuple[str, ...],
    count: int,
    views: int,
    seed: int | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Draw photos of DATA as training sees them, epoch by epoch.

    DATA and the configuration are as for fit. The photos are of the training part, one of each
    class in turn.
    """
    from edge_runtime.errors import UsageError
    from edge_runtime.files import refuse_existing

    from ..config.io import load_config
    from ..data.dataset import index_dataset
    from ..network.backbones import get_backbone
    from ..report.preview import choose_photos, draw_preview, make_preview

    if not out.lower().endswith(".png"):
        raise UsageError(f"{out}: a PNG picture is written; give --out a name that ends in .png.")
    refuse_existing(out, overwrite)
    given = {"augment.level": level, "seed": seed}
    chosen = load_config(config, given, assignments, preset)
    size = chosen.image.size or get_backbone(chosen.model.backbone).size
    spec = chosen.image.model_copy(update={"size": size}).spec()
    dataset = index_dataset(data, chosen.data.ratios, chosen.seed, chosen.data.group_by)
    samples, names = dataset.parts["train"], dataset.class_names
    indices, pixels = choose_photos(samples, count, spec, chosen.seed)
    preview = make_preview(samples, indices, pixels, len(names), views, chosen.augment, chosen.seed)
    title = f"{data}: augmentation level {chosen.augment.level}, seed {chosen.seed}"
    draw_preview(preview, names, title, out, overwrite)
    if as_json:
        photos = [
            {
                "path": sample.path,
                "label": names[sample.label],
                "views": [
                    {names[i]: round(float(row[i]), 4) for i in row.nonzero()[0]} for row in rows
                ],
            }
            for sample, rows in zip(preview.samples, preview.shares[:, 1:], strict=True)
        ]
        print_json(
            {"out": out, "augment": chosen.augment.model_dump(mode="json"), "photos": photos}
        )
    else:
        click.echo(
            f"{out}: {len(indices)} photos, {views} views each, level {chosen.augment.level}"
        )
