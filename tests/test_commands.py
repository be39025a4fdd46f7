"""What all four command lines share: help, an example, a place in the README, --version."""

from __future__ import annotations

import importlib
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from edge_runtime import __version__

ROOT = Path(__file__).parents[1]
PAGES = "".join(
    page.read_text(encoding="utf-8")
    for page in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md"))
)

GROUPS = {
    "edge-train": "trainer.cli",
    "edge-export": "exporter.cli",
    "edge-classify": "edge_runtime.cli",
    "edge-bench": "benchmarks.cli",
}


def leaves(name: str, command: click.Command) -> list[tuple[str, click.Command]]:
    """Every command below a group, with its full name."""
    if isinstance(command, click.Group):
        return [
            leaf
            for child, below in sorted(command.commands.items())
            for leaf in leaves(f"{name} {child}", below)
        ]
    return [(name, command)]


def groups() -> dict[str, click.Group]:
    """The four command groups."""
    return {name: importlib.import_module(module).cli for name, module in GROUPS.items()}


COMMANDS = [leaf for name, group in groups().items() for leaf in leaves(name, group)]


@pytest.mark.parametrize(("name", "command"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_help_example_and_readme(name: str, command: click.Command) -> None:
    top, *path = name.split()
    result = CliRunner().invoke(groups()[top], [*path, "--help"], prog_name=top)
    assert result.exit_code == 0
    assert command.help, "a command says what it does"
    assert f"{name} " in result.stdout.partition("Example")[2], "with an example"
    assert name in PAGES, "and the README or a page of docs/ shows it"
    for parameter in command.params:
        assert isinstance(parameter, click.Argument) or getattr(parameter, "help", None)
    options = {option for parameter in command.params for option in parameter.opts}
    assert {"--verbose", "--quiet"} <= options


@pytest.mark.parametrize("name", list(GROUPS))
def test_version_and_bare_group(name: str) -> None:
    group = groups()[name]
    assert __version__ in CliRunner().invoke(group, ["--version"]).stdout
    assert CliRunner().invoke(group, ["frobnicate"]).exit_code == 2


@pytest.mark.parametrize("name", list(GROUPS))
def test_help_is_quick(name: str) -> None:
    """Help loads nothing heavy: it is what a person types first."""
    import subprocess
    import sys

    code = (
        f"import sys; from {GROUPS[name]} import cli\n"
        "try: cli(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'tensorflow', 'keras', 'sklearn', 'matplotlib', 'cv2', 'onnx', 'numpy'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("package", "arguments", "extra"),
    [
        ("pydantic", ["edge-train", "fit", "{root}", "--out", "{root}/x"], "train"),
        ("sklearn", ["edge-train", "sample", "digits", "{root}/x"], "train"),
        ("rich", ["edge-bench", "run", "{root}"], "bench"),
        ("cv2", ["edge-classify", "stream", "--model", "m", "--source", "{file}"], "camera"),
    ],
)
def test_missing_package_names_its_extra(
    package: str, arguments: list[str], extra: str, tmp_path: Path
) -> None:
    """On a machine with the base install only, every command says what it lacks."""
    import subprocess
    import sys

    file = tmp_path / "clip.mp4"
    file.touch()
    name, *rest = [argument.format(root=tmp_path, file=file) for argument in arguments]
    code = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "from edge_runtime.classifier import Classifier\n"
        "Classifier.open = lambda *_, **__: None\n"
        f"from {GROUPS[name]} import cli\n"
        f"cli({rest!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 5, done.stderr
    assert f"edge-classify[{extra}]" in done.stderr and done.stdout == ""
    assert list(tmp_path.iterdir()) == [file]
