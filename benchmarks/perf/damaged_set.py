"""Does ``edge-train check`` find every damaged photo, and does ``fit`` live with them?

Run ``python -m benchmarks.perf.damaged_set``. Makes a copy of the groceries photos with 5 % of
them damaged in every way of ``damage.py`` and 5 % copied across train, val and test; counts what
``check`` finds and what it says of photos that nobody touched; then trains one epoch of a small
network on it and looks whether every photo that cannot be used is named. Exit code 4 if a photo is
missed, a sound one is called bad, or the training fails.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import click

from benchmarks.perf.common import (
    EXIT_CHECK_FAILED,
    command,
    print_machine,
    shared_option,
    test_photos,
)
from benchmarks.perf.damage import Damage, damage_set

_FIT = (
    "--backbone", "mobilenetv3small", "--weights", "none", "--image-size", "32",
    "--set", "full.epochs=1",
)  # fmt: skip


@click.command()
@click.option("--seed", default=0, show_default=True, help="Which photos are damaged.")
@click.option("--no-fit", is_flag=True, help="Leave the training out.")
@shared_option()
def main(seed: int, no_fit: bool, shared: Path) -> None:
    """Count what is found in a damaged set."""
    print_machine()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clean, damaged = folder / "clean", folder / "damaged"
        shutil.copytree(test_photos(shared).parent, clean)
        shutil.copytree(clean, damaged)
        done = damage_set(damaged, seed=seed)
        before, _ = _check(clean)
        found, seconds = _check(damaged)
        good = _report(done, before, found, seconds, clean, damaged)
        if not no_fit:
            good = _fit(damaged, folder / "run", done) and good
    if not good:
        raise click.exceptions.Exit(EXIT_CHECK_FAILED)


def _check(folder: Path) -> tuple[dict[str, Any], float]:
    start = time.perf_counter()
    done = subprocess.run(
        [command("edge-train"), "check", str(folder), "--json"], capture_output=True, check=False
    )
    if done.returncode not in (0, 3):
        raise click.ClickException(f"check ended with {done.returncode}: {done.stderr.decode()}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result, time.perf_counter() - start


def _report(
    done: list[Damage],
    before: dict[str, Any],
    found: dict[str, Any],
    seconds: float,
    clean: Path,
    damaged: Path,
) -> bool:
    named: dict[str, set[str]] = {}
    for finding in found["findings"]:
        for path in finding["paths"]:
            named.setdefault(path, set()).add(finding["kind"])
    total, hits, missed = Counter[str](), Counter[str](), []
    for damage in done:
        total[damage.way] += 1
        paths = [damage.path] + ([damage.source] if damage.source else [])
        if all(set(damage.kinds) & named.get(path, set()) for path in paths):
            hits[damage.way] += 1
        else:
            missed.append(damage)
    photos = found["photos"]
    click.echo(
        f"{photos} photos checked in {seconds:.1f} s ({photos / seconds:.0f} a second, start "
        f"included): {json.dumps(found['severities'])}"
    )
    for way, count in total.items():
        click.echo(f"  {way}: {hits[way]} of {count} found")
    click.echo(f"found {sum(hits.values())} of {len(done)}")
    for damage in missed:
        click.echo(f"MISSED: {damage.path} ({damage.way})")
    alarms = _false_alarms(done, before, found, clean, damaged)
    click.echo(f"findings about photos that nobody touched: {len(alarms)}")
    for alarm in alarms:
        click.echo(f"FALSE ALARM: {alarm}")
    return not missed and not alarms


def _false_alarms(
    done: list[Damage], before: dict[str, Any], found: dict[str, Any], clean: Path, damaged: Path
) -> list[str]:
    """Findings that name an untouched photo and that the clean set has not.

    A photo that looks like one that was copied is rightly named with the copy.
    """
    touched = {damage.path for damage in done} | {damage.source for damage in done}
    known = {
        (finding["kind"], os.path.relpath(path, clean))
        for finding in before["findings"]
        for path in finding["paths"]
    }
    return [
        f"{path}: {finding['kind']}, {finding['message']}"
        for finding in found["findings"]
        if not (finding["kind"].startswith("near-") and touched.intersection(finding["paths"]))
        for path in finding["paths"]
        if path not in touched
        and os.path.isfile(path)
        and (finding["kind"], os.path.relpath(path, damaged)) not in known
    ]


def _fit(folder: Path, run: Path, done: list[Damage]) -> bool:
    """Train on the damaged set; whether it ends well and names what it leaves out."""
    trained = subprocess.run(
        [command("edge-train"), "fit", str(folder), "--out", str(run), *_FIT],
        capture_output=True,
        check=False,
    )
    said = trained.stderr.decode(errors="replace")
    click.echo(f"fit ended with {trained.returncode}: {trained.stdout.decode().strip()}")
    if trained.returncode:
        click.echo(said)
        return False
    silent = []
    for damage in done:
        paths = [path for path in (damage.path, damage.source) if path]
        lost = damage.source is not None or "unreadable" in damage.kinds
        if lost and "bad-checksum" not in damage.kinds and not any(path in said for path in paths):
            silent.append(damage)
    click.echo(f"fit said nothing about {len(silent)} photos that it cannot use")
    for damage in silent:
        click.echo(f"NOT SAID: {damage.path} ({damage.way})")
    return not silent


if __name__ == "__main__":
    main()
