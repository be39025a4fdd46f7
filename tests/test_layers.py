"""Who may import whom: edge_runtime is the lowest layer, the others import only it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {"trainer", "exporter", "edge_runtime", "benchmarks"}
ALLOWED = {
    "edge_runtime": {"edge_runtime"},
    "trainer": {"trainer", "edge_runtime"},
    "exporter": {"exporter", "edge_runtime"},
    "benchmarks": {"benchmarks", "edge_runtime"},
}


def imported(file: Path) -> set[str]:
    """Top-level names of all absolute imports of a module, those inside functions too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_imports_point_downwards(package: str) -> None:
    for file in sorted((ROOT / package).rglob("*.py")):
        if file.is_relative_to(ROOT / "benchmarks/perf"):
            continue  # scripts that measure all of the packages
        forbidden = imported(file) & PACKAGES - ALLOWED[package]
        assert not forbidden, f"{file.relative_to(ROOT)} imports {forbidden}"


#: Functions of Pillow, OpenCV, Keras and TensorFlow that resize a picture.
RESIZERS = {"resize", "resize_with_pad", "smart_resize", "thumbnail", "resize_with_crop_or_pad"}
ONLY_HERE = {
    "edge_runtime/preprocess.py",
    "edge_runtime/heatmap.py",  # enlarges maps and pictures for people to look at
    "edge_runtime/serving/heat.py",  # likewise
    "edge_runtime/stream/preview/pictures.py",  # makes frames smaller for people to look at
    "trainer/data/digits.py",  # writes 8x8 digits at a size that people can look at
}


def test_one_place_resizes_pictures() -> None:
    """A photo becomes a tensor in preprocess.py."""
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*.py")):
            name = file.relative_to(ROOT).as_posix()
            if name in ONLY_HERE or name.startswith("benchmarks/perf/"):
                continue  # perf/ holds the peers that the toolkit is measured against
            called = {
                node.func.attr
                for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
            }
            assert not called & RESIZERS, f"{name} resizes pictures itself"
