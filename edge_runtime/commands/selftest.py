"""``edge-classify selftest``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ..console import EdgeCommand, json_option, print_json
from ..errors import CheckFailed, MissingComponent, UsageError
from .options import engine_options

if TYPE_CHECKING:
    from ..engine import Engine
    from ..selftest import Check

#: What a test on another machine should be compared by.
_PACKAGES = ("numpy", "pillow", "ai-edge-litert", "tflite-runtime", "onnxruntime", "tensorflow")


@click.command(cls=EdgeCommand, example="edge-classify selftest bundle")
@click.argument("bundle", metavar="BUNDLE")
@click.option(
    "--format",
    "formats",
    metavar="FMT",
    multiple=True,
    help="Run this artifact, and fail if its interpreter is missing. Repeatable. Default: all.",
)
@engine_options
@json_option("Print one JSON object on stdout, and nothing else there.")
def selftest(bundle: str, formats: tuple[str, ...], engine: Engine, as_json: bool) -> None:
    """Prove a bundle on this machine.

    Computes every checksum; decodes, turns and resizes the bundle's golden photos and compares
    the pixels (PNG to the bit, JPEG within a grey level, since decoders differ); runs every file
    whose interpreter is installed on them and compares the scores. The exit code is 4 if anything
    differs.
    """
    from ..bundle import Bundle
    from ..machine import cpu_name, installed_versions
    from ..selftest import run_selftest

    opened = Bundle.open(bundle)
    machine = {"cpu": cpu_name(), "versions": installed_versions(_PACKAGES)}
    checks = []
    for check in run_selftest(opened, formats, engine):
        checks.append(check)
        if not as_json:
            click.echo(f"{check.result:<8} {check.kind} {check.subject}: {check.detail}")
    failed = [check for check in checks if check.result == "failed"]
    if as_json:
        results = [check.to_dict() for check in checks]
        ran = any(check.kind == "artifact" and check.result == "ok" for check in checks)
        print_json({"bundle": bundle, "passed": ran and not failed} | machine | {"checks": results})
    if failed:
        names = ", ".join(check.subject for check in failed)
        raise CheckFailed(f"{bundle}: {len(failed)} of {len(checks)} checks failed: {names}.")
    _refuse_missing(checks, formats)


def _refuse_missing(checks: Sequence[Check], formats: Sequence[str]) -> None:
    """Raise an error if what was asked for, or everything, was not run."""
    artifacts = [check for check in checks if check.kind == "artifact"]
    missing = [check for check in artifacts if check.missing]
    if missing and (formats or len(missing) == len(artifacts)):
        raise MissingComponent(f"{missing[0].subject} was not run: {missing[0].detail}")
    if artifacts and all(check.result == "not run" for check in artifacts):
        raise UsageError(f"No file of the bundle was run: {artifacts[0].detail}")
