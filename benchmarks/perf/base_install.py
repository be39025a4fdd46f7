"""Does ``edge-classify image`` work with the base install alone, and what does it load?

Run ``python -m benchmarks.perf.base_install WHEEL_OR_REPO BUNDLE [PHOTO]``. Makes a fresh virtual
environment with only the base install (no extra), classifies a photo there, lists the third-party
packages that were loaded, and measures from start to answer. Exit code 4 if a forbidden one is
among them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

from benchmarks.perf.common import (
    EXIT_CHECK_FAILED,
    first_photo,
    print_machine,
    shared_option,
    spread,
)

_FORBIDDEN = ("tensorflow", "keras", "cv2", "matplotlib", "pydantic", "sklearn")

#: Runs the command in-process and lists sys.modules when it ends.
_LISTING = """
import atexit, json, sys
out = sys.argv.pop(1)
atexit.register(lambda: json.dump(sorted(sys.modules), open(out, "w")))
from edge_runtime.cli import cli
cli()
"""

#: Not part of the source when a repository is copied for building.
_NOT_SOURCE = (".git", ".venv", "build", "dist", "runs", "*.egg-info", "__pycache__")


@click.command()
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@click.argument("bundle", type=click.Path(exists=True))
@click.argument("photo", required=False)
@click.option("--format", "fmt", default="tflite-fp32", show_default=True)
@click.option("--runs", default=9, show_default=True, type=click.IntRange(1))
@click.option("--constraint", type=click.Path(exists=True), help="Constraints file for pip.")
@shared_option()
def main(
    source: Path,
    bundle: str,
    photo: str | None,
    fmt: str,
    runs: int,
    constraint: str | None,
    shared: Path,
) -> None:
    """Classify a photo with the base install alone."""
    print_machine()
    photo = photo or first_photo(shared)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        binaries = _install(source.resolve(), folder, constraint)
        click.echo(_pip_list(binaries))
        arguments = ["image", "--model", os.path.abspath(bundle), "--format", fmt]
        arguments += ["--json", os.path.abspath(photo)]
        milliseconds, answer = [], b""
        for _ in range(runs):
            start = time.perf_counter()
            answer = _run([str(binaries / "edge-classify"), *arguments], folder)
            milliseconds.append((time.perf_counter() - start) * 1000)
        modules = _modules(binaries, arguments, folder)
    answered = json.loads(answer)
    click.echo(f"{answered['path']}: {answered['label']} {answered['score']:.4f}")
    loaded = sorted({module.partition(".")[0] for module in modules} - set(_FORBIDDEN))
    foreign = [name for name in loaded if _is_foreign(name)]
    forbidden = sorted({m.partition(".")[0] for m in modules} & set(_FORBIDDEN))
    click.echo(f"third-party packages loaded: {', '.join(foreign)} ({len(modules)} modules in all)")
    click.echo(f"start to answer, ms, {runs} runs: {spread(milliseconds, 0)}")
    if forbidden:
        click.echo(f"FORBIDDEN packages loaded: {', '.join(forbidden)}")
        raise click.exceptions.Exit(EXIT_CHECK_FAILED)
    click.echo(f"none of {', '.join(_FORBIDDEN)} is loaded")


def _install(source: Path, folder: Path, constraint: str | None) -> Path:
    """Make the environment; returns its folder of commands."""
    if source.is_dir():  # pip would build inside the repository
        ignore = shutil.ignore_patterns(*_NOT_SOURCE)
        source = Path(shutil.copytree(source, folder / "source", ignore=ignore))
    _run([sys.executable, "-m", "venv", str(folder / "venv")], folder)
    binaries = folder / "venv" / "bin"
    constrained = [] if constraint is None else ["--constraint", os.path.abspath(constraint)]
    _run([str(binaries / "pip"), "install", "--quiet", str(source), *constrained], folder)
    return binaries


def _pip_list(binaries: Path) -> str:
    listed = json.loads(_run([str(binaries / "pip"), "list", "--format", "json"], binaries))
    return "installed: " + ", ".join(f"{p['name']} {p['version']}" for p in listed)


def _modules(binaries: Path, arguments: list[str], folder: Path) -> list[str]:
    out = folder / "modules.json"
    _run([str(binaries / "python"), "-c", _LISTING, str(out), *arguments], folder)
    modules: list[str] = json.loads(out.read_text())
    return modules


def _run(arguments: list[str], folder: Path) -> bytes:
    """Stdout of a command that must succeed; PYTHONPATH must not lend it anything."""
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, check=False)
    if done.returncode:
        raise click.ClickException(
            f"{' '.join(arguments)} ended with {done.returncode}: {done.stderr.decode().strip()}"
        )
    return done.stdout


def _is_foreign(name: str) -> bool:
    own = ("edge_runtime", "__main__", "__mp_main__", "_distutils_hack")  # the last: venv's
    return name not in sys.stdlib_module_names and name not in own


if __name__ == "__main__":
    main()
