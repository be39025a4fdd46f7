"""``edge-train config``."""

from __future__ import annotations

from typing import Any

import click

from edge_runtime.console import EdgeCommand, json_option, overwrite_option, print_json
from edge_runtime.errors import UsageError
from edge_runtime.files import atomic_file

from .options import source_options


@click.command(cls=EdgeCommand, example="edge-train config --preset best --out own.yaml")
@source_options
@click.option(
    "--resolved",
    is_flag=True,
    help="Fill in what follows from the network: input size, index of model.fine_tune_at.",
)
@click.option("--list", "as_list", is_flag=True, help="List the shipped presets.")
@click.option("--out", metavar="FILE", help="Write to this file, and print nothing.")
@overwrite_option("an existing file")
@json_option()
def config(
    preset: str | None,
    config: str | None,
    assignments: tuple[str, ...],
    resolved: bool,
    as_list: bool,
    out: str | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Print the configuration of `edge-train fit`, with what each key means and takes.

    Without options these are the defaults. What is printed is a file for --config.
    """
    if as_list:
        if preset or config or assignments or resolved or out:
            raise UsageError("--list goes with nothing but --json.")
        _list_presets(as_json)
        return
    from ..config.comments import commented_yaml
    from ..config.io import load_config

    chosen = load_config(config, None, assignments, preset)
    if resolved:
        from ..training.resolve import resolve

        chosen = resolve(chosen)
    data = chosen.model_dump(mode="json")
    if out is not None:
        with atomic_file(out, overwrite) as temporary:
            temporary.write_text(commented_yaml(chosen, _title(preset, config)), encoding="utf-8")
    if as_json:
        print_json(data)
    elif out is None:
        click.echo(commented_yaml(chosen, _title(preset, config)), nl=False)


def _title(preset: str | None, file: str | None) -> str:
    sources = [f"preset {preset}" if preset else "", file or ""]
    over = ", then ".join(source for source in sources if source)
    return "Configuration of edge-train fit" + (f": {over}." if over else ": the defaults.")


def _list_presets(as_json: bool) -> None:
    from ..config.io import preset_summaries

    rows: list[dict[str, Any]] = [
        {"name": name, "summary": summary} for name, summary in preset_summaries().items()
    ]
    if as_json:
        print_json({"presets": rows})
    else:
        for row in rows:
            click.echo(f"{row['name']:12}{row['summary']}")
