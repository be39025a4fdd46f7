"""Does the wheel work on a Raspberry Pi as it does on x86? Tried on emulated boards.

Run ``make test-pi`` (as root), or ``python scripts/test_pi.py BUNDLE``: builds the wheel, makes
emulated 64-bit boards with Debian 12 and 13 (Python 3.11 and 3.13), installs the wheel there with
nothing but pip, runs ``edge-classify`` on photos and compares every answer with that of the same
wheel on this machine. Exit code 4 when something differs by more than it may, 5 when boards cannot
be made here. Emulation shows that it works, not how fast: its times say nothing about a board.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click
from pi_checks import Reference, Subject, check_board
from pi_compare import Row, table
from pi_machines import CPUS, REPO, SUITES, build_wheel, check_tools, emulated_board, this_machine

_Path = click.Path(path_type=Path)


def copy_bundles(bundles: Sequence[Path], photos: Sequence[Path], work: Path) -> list[Subject]:
    """Copy bundles and photos into the work folder; one subject for each file of each bundle.

    Args:
        bundles: Bundle folders.
        photos: Photos to ask about; empty for the golden photos of each bundle.
        work: The work folder.
    """
    subjects = []
    for number, bundle in enumerate(bundles, start=1):
        manifest = bundle / "manifest.json"
        if not manifest.is_file():
            raise click.UsageError(f"{bundle}: not a bundle, it holds no manifest.json.")
        name = f"{number}-{bundle.resolve().name}"
        shutil.copytree(bundle, work / name)
        # Beside golden-1.jpg lies golden-1.pixels.png, what it has to be decoded to.
        golden = sorted(p for p in bundle.glob("golden/golden-*.*") if p.name.count(".") == 1)
        chosen = _copy_photos(photos or golden, work / f"photos-{name}", work)
        for artifact in json.loads(manifest.read_text(encoding="utf-8"))["artifacts"]:
            file, fmt = artifact["file"], artifact["format"]
            if file and Path(file).suffix in {".tflite", ".onnx"}:
                subjects.append(Subject(f"{bundle.name} {fmt}", name, chosen, fmt))
    return subjects


def copy_foreign(models: Sequence[Path], work: Path) -> list[Subject]:
    """Copy models that this project did not make, with the photos beside each."""
    subjects = []
    for number, model in enumerate(models, start=1):
        folder = work / f"foreign-{number}"
        folder.mkdir()
        shutil.copy(model, folder)
        beside = sorted(p for p in model.parent.iterdir() if p.suffix in {".jpg", ".bmp", ".png"})
        if not beside:
            raise click.UsageError(f"{model}: no photos (.jpg, .png, .bmp) lie beside it.")
        chosen = _copy_photos(beside, folder, work)
        path = f"{folder.name}/{model.name}"
        subjects.append(Subject(model.name, path, chosen, judged=False))
    return subjects


def _copy_photos(photos: Sequence[Path], folder: Path, work: Path) -> tuple[str, ...]:
    folder.mkdir(exist_ok=True)
    names = {photo.name: photo for photo in photos}
    for name, photo in names.items():
        shutil.copy(photo, folder / name)
    return tuple(str((folder / name).relative_to(work)) for name in sorted(names))


@click.command()
@click.argument("bundles", nargs=-1, required=True, type=_Path, metavar="BUNDLE...")
@click.option(
    "--tools",
    type=_Path,
    envvar="PI_TOOLS",
    metavar="DIR",
    help="Folder of pi-setup.sh and pi-run.sh. Default: PI_TOOLS, else tools/ below the shared folder.",
)
@click.option(
    "--suite",
    "suites",
    multiple=True,
    type=click.Choice(SUITES),
    default=SUITES,
    show_default=True,
    help="Debian release of the board; repeatable.",
)
@click.option(
    "--cpu",
    type=click.Choice(CPUS),
    default=CPUS[0],
    show_default=True,
    help="Processor of the board: that of a Pi 4, of a Pi 5, of a Pi 3 and a Zero 2 W.",
)
@click.option(
    "--photos",
    multiple=True,
    type=_Path,
    metavar="PHOTO",
    help="Photo to ask about; repeatable. Default: the golden photos of each bundle.",
)
@click.option(
    "--foreign",
    multiple=True,
    type=_Path,
    metavar="FILE",
    help="A model of somebody else, with photos beside it; repeatable. Default: every .tflite in models/ below the shared folder.",
)
@click.option(
    "--shared",
    envvar="EDGE_CLASSIFY_SHARED",
    type=_Path,
    default=REPO.parent / "shared",
    show_default="EDGE_CLASSIFY_SHARED, else ../shared beside the repository",
    help="Folder of tools/ and models/.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="JSON file to write the table to.",
)
@click.option(
    "--keep",
    type=_Path,
    metavar="DIR",
    help="New folder to work in, which stays; to look at the pictures.",
)
def main(
    bundles: tuple[Path, ...],
    tools: Path | None,
    suites: tuple[str, ...],
    cpu: str,
    photos: tuple[Path, ...],
    foreign: tuple[Path, ...],
    shared: Path,
    out: Path | None,
    keep: Path | None,
) -> None:
    """Try the wheel on emulated Raspberry Pis and compare its answers with x86's."""
    for path in (*bundles, *photos, *foreign):
        if not path.exists():
            raise click.UsageError(f"{path}: no such file or folder.")
    if keep is not None and keep.exists():
        raise click.UsageError(f"--keep {keep}: exists already; name a new folder.")
    tools = tools or shared / "tools"
    check_tools(tools)
    models = foreign or tuple(sorted((shared / "models").glob("*.tflite")))

    work = Path(tempfile.mkdtemp(prefix="test-pi-")) if keep is None else keep.resolve()
    try:
        if keep is not None:
            work.mkdir(parents=True)
        work.chmod(0o755)
        subjects = copy_bundles(bundles, photos, work) + copy_foreign(models, work)
        if not any(s.fmt and s.fmt.startswith("tflite") for s in subjects):
            raise click.UsageError("none of the bundles holds a TFLite file.")
        rows = run(tools, suites, cpu, subjects, work)
    finally:
        if keep is None:
            shutil.rmtree(work, ignore_errors=True)
    click.echo(table(rows))
    click.echo("Emulated: that it works is shown, its times say nothing about a board.")
    if out is not None:
        out.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8")
    failed = [row for row in rows if row.problem is not None]
    for row in failed:
        click.echo(f"FAILED: {row.board}: {row.check}: {row.problem}", err=True)
    if failed:
        raise SystemExit(4)


def run(
    tools: Path, suites: Sequence[str], cpu: str, subjects: Sequence[Subject], work: Path
) -> list[Row]:
    """Build the wheel, install it here and on each board, and compare."""
    click.echo("building the wheel and installing it here", err=True)
    wheel = build_wheel(work)
    x86 = Reference(this_machine(work))
    x86.machine.install(wheel, "onnx")
    click.echo(f"x86: {x86.machine.versions()}", err=True)
    rows = []
    for suite in suites:
        click.echo(f"{suite}: making the board (some minutes the first time)", err=True)
        board = emulated_board(tools, suite, cpu, work)
        for row in check_board(board, x86, subjects, wheel):
            # A line at once: an emulated board takes minutes, and may be interrupted.
            measured = "" if row.difference is None else f", {row.difference:.1e}"
            note = f" ({row.note})" if row.note else ""
            click.echo(f"{suite}: {row.check}: {row.problem or 'ok'}{measured}{note}", err=True)
            rows.append(row)
    return rows


if __name__ == "__main__":
    main()
