"""The page's examples for many photos run as they are typed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from color_model import COLORS, ColorModels, paint

ROOT = Path(__file__).parents[2]


def test_examples(color_models: ColorModels, tmp_path: Path) -> None:
    """One after the other in a folder that holds what they name; the watching one only starts."""
    section = (
        (ROOT / "docs" / "photos.md").read_text().split("## Many photos\n")[1].split("\n## ")[0]
    )
    lines = [line[4:] for line in section.splitlines() if line.startswith("    ")]
    commands = [line for line in lines if "edge-classify" in line]
    assert len(commands) == 8
    shutil.copytree(color_models.bundle, tmp_path / "bundle")
    for name, color in (("a.jpg", "red"), ("deep/b.jpg", "blue")):
        paint(tmp_path / "holiday" / name, COLORS[color])
    (tmp_path / "inbox").mkdir()
    program = f'edge-classify() {{ "{sys.executable}" -m edge_runtime.cli "$@"; }}\n'
    outputs = []
    for command in commands:
        ends = "timeout -s TERM 3 " if "--watch" in command else ""
        script = program + command
        if ends:
            script = command.replace("edge-classify", f"{ends}{sys.executable} -m edge_runtime.cli")
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        # timeout(1) answers 124 after its signal, whatever the command ends with.
        assert done.returncode == (124 if ends else 0), (command, done.stderr)
        outputs.append(done.stdout)
    assert [text.count("\n") for text in outputs] == [4, 0, 2, 2, 2, 2, 1, 0]
    assert (tmp_path / "answers.csv").read_text().count("\n") == 3
    assert len(list((tmp_path / "why").rglob("*.heatmap.jpg"))) == 2
    assert outputs[6].startswith("0 photos moved back, 2 copies removed")
