"""Read damaged photos and models by the thousand, and say what went wrong.

Run ``python -m benchmarks.perf.fuzz BUNDLE [--photos 10000] [--models 5000] [--save DIR]``. BUNDLE
should be small, as it is read thousands of times.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import click

from ..common import EXIT_CHECK_FAILED, print_machine
from .commandline import run_models, run_photos
from .models import make_model
from .photos import photos
from .watch import Finding, Tally, watch
from .worker import photo_bytes


@click.command()
@click.argument(
    "bundle", type=click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path)
)
@click.option("--photos", "photo_count", default=10_000, show_default=True, help="In the library.")
@click.option("--models", "model_count", default=5_000, show_default=True, help="Likewise.")
@click.option("--command-photos", default=500, show_default=True, help="By edge-classify image.")
@click.option("--command-models", default=50, show_default=True, help="By edge-classify.")
@click.option("--seed", default=0, show_default=True, help="Number of the first input.")
@click.option("--save", type=click.Path(path_type=Path), help="Folder for what fails.")
def main(
    bundle: Path,
    photo_count: int,
    model_count: int,
    command_photos: int,
    command_models: int,
    seed: int,
    save: Path | None,
) -> None:
    """Spoil photos and the models of BUNDLE, and read them in processes that are watched."""
    print_machine()
    read = watch("photo", range(seed, seed + photo_count))
    _print("photos", photo_count, read)
    opened = watch("model", range(seed, seed + model_count), bundle)
    _print("models", model_count, opened)
    findings = [*read.findings, *(f for f in opened.findings if f.what not in _CONTAINED)]
    # What ends an interpreter's process, or keeps it busy, must be a message of the command's.
    contained = [f.number for f in opened.findings if f.what in _CONTAINED]
    click.echo(f"interpreters ended by {len(contained)} models; each again by the command")
    model = next(iter(sorted(bundle.glob("*.tflite"))))
    numbers = list(range(seed, seed + command_photos))
    by_command = run_photos(model, numbers)
    photo = _one_photo(save)
    by_command += run_models(bundle, photo, [*contained, *range(seed, seed + command_models)])
    click.echo(
        f"by the command: {command_photos} photos, {command_models + len(contained)} models, "
        f"{len(by_command)} wrong"
    )
    findings += by_command
    for found in findings:
        click.echo(f"{found.kind} {found.number}: {found.what}: {found.detail.strip()[-300:]}")
        if save is not None:
            _save(found, save, bundle)
    if findings:
        raise SystemExit(EXIT_CHECK_FAILED)


#: What a trial run in a child process contains.
_CONTAINED = ("crash", "hang", "memory")


def _print(name: str, count: int, tally: Tally) -> None:
    outcomes = ", ".join(f"{n} {what}" for what, n in tally.outcomes.most_common())
    click.echo(
        f"{count} {name}: {outcomes}; {len(tally.findings)} findings; at most "
        f"{tally.seconds:.2f} s of CPU, {tally.mb:.0f} MB"
    )


def _one_photo(save: Path | None) -> Path:
    folder = save or Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    photo = folder / "whole.jpg"
    photo.write_bytes(photos()["plain.jpg"])
    return photo


def _save(found: Finding, folder: Path, bundle: Path) -> None:
    """The input itself, and what it did."""
    place = folder / f"{found.kind}-{found.number}"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    if found.kind == "photo":
        name, data = photo_bytes(found.number, photos())
        (place / name).write_bytes(data)
    else:
        make_model(bundle, place, found.number)
    (place / "finding.json").write_text(json.dumps(vars(found), indent=2) + "\n")


if __name__ == "__main__":
    main()
