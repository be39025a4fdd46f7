"""``edge-train backbones``."""

from __future__ import annotations

from typing import Any

import click

from edge_runtime.console import EdgeCommand, json_option, print_json


@click.command(cls=EdgeCommand, example="edge-train backbones --layers efficientnetb0")
@click.option(
    "--layers", metavar="NAME", help="List the layers of this backbone, for --fine-tune-at."
)
@json_option()
def backbones(layers: str | None, as_json: bool) -> None:
    """List the networks that a training can start from, and what each costs.

    Parameters and multiply-accumulates (MACs) are those without the head, of one photo at the
    default input size; top-1 is the accuracy on ImageNet that Keras states for its weights;
    fine-tune at is the index of the layer from which phase 2 trains the backbone.
    """
    if layers is not None:
        _list_layers(layers, as_json)
        return
    from ..network.backbones import BACKBONES

    rows = [
        {
            "name": backbone.name,
            "size": backbone.size,
            "parameters": backbone.parameters,
            "macs": backbone.macs,
            "top1": backbone.top1,
            "fine_tune_at": backbone.fine_tune_at,
            "file": backbone.file,
            "note": backbone.note,
        }
        for backbone in BACKBONES.values()
    ]
    if as_json:
        print_json({"backbones": rows})
    else:
        click.echo(format_backbones(rows))


def format_backbones(rows: list[dict[str, Any]]) -> str:
    """The table for people.

    Args:
        rows: As in the JSON.
    """
    lines = [
        f"{'backbone':18}{'pixels':>6}{'parameters':>12}{'MACs':>8}{'top-1':>8}"
        f"{'fine-tune at':>14}  note"
    ]
    for row in rows:
        lines.append(
            f"{row['name']:18}{row['size']:6}{row['parameters'] / 1e6:10.1f} M"
            f"{row['macs'] / 1e9:6.2f} G{row['top1']:8.1%}{row['fine_tune_at'] or 'all':>14}"
            f"  {row['note']}"
        )
    lines += ["", "What --weights imagenet downloads, once, to ~/.keras/models:"]
    lines += [f"{row['name']:18}{row['file']}" for row in rows]
    return "\n".join(lines)


def _list_layers(name: str, as_json: bool) -> None:
    from ..network.backbones import build_base, get_backbone

    base = build_base(get_backbone(name))
    rows = [
        {
            "index": index,
            "name": layer.name,
            "kind": type(layer).__name__,
            "output": list(layer.output.shape[1:]),
        }
        for index, layer in enumerate(base.layers)
    ]
    if as_json:
        print_json({"name": name, "layers": rows})
        return
    width = max(len(row["name"]) for row in rows) + 2
    click.echo(f"index  {'layer':{width}}{'kind':24}output")
    for row in rows:
        shape = " x ".join(map(str, row["output"]))
        click.echo(f"{row['index']:5}  {row['name']:{width}}{row['kind']:24}{shape}")
