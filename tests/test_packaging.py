"""What is shipped: four packages with their data, not the tests."""

from __future__ import annotations

import configparser
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy, so that nothing is left in the tree."""
    root = tmp_path_factory.mktemp("wheel")
    source = root / "source"
    skipped = shutil.ignore_patterns(".*", "demo", "runs", "bundle", "build", "dist", "*.egg-info")
    shutil.copytree(ROOT, source, ignore=skipped)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", root, source], check=True, capture_output=True)
    return next(root.glob("*.whl"))


def test_contents(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.partition("/")[0] for name in names}
    packages = {"trainer", "exporter", "edge_runtime", "benchmarks"}
    assert {top for top in tops if not top.endswith(".dist-info")} == packages
    assert {f"{package}/py.typed" for package in packages} <= set(names)
    assert "trainer/config/presets/demo.yaml" in names
    assert {"benchmarks/schema.json", "benchmarks/show/templates/report.html.j2"} <= set(names)
    assert any(name.endswith("LICENSE") for name in names)


def test_base_install_is_light(wheel: Path) -> None:
    """What a device gets without naming an extra."""
    with zipfile.ZipFile(wheel) as archive:
        metadata = next(name for name in archive.namelist() if name.endswith("METADATA"))
        lines = archive.read(metadata).decode().splitlines()
    required = [
        Requirement(line.removeprefix("Requires-Dist: "))
        for line in lines
        if line.startswith("Requires-Dist: ")
    ]
    base = {need.name for need in required if "extra" not in str(need.marker)}
    assert base == {"numpy", "pillow", "click", "pyyaml", "ai-edge-litert"}


def extras() -> dict[str, list[str]]:
    """The extras of setup.cfg."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    section = config["options.extras_require"]
    return {name: section[name].split("\n") for name in section}


def test_extras() -> None:
    found = extras()
    assert {
        "onnx", "tflite-runtime", "camera", "window", "train", "gpu", "export", "bench", "all", "dev",
    } <= set(found)  # fmt: skip
    everything = " ".join(found["all"])
    assert "tflite" not in everything.replace("tf2onnx", "") and "window" not in everything
    assert any("headless" in line for line in found["camera"])
    assert not any("headless" in line for line in found["window"])


@pytest.mark.parametrize("version", ["310", "311", "312", "313"])
def test_constraints_for_each_python(version: str) -> None:
    """Every pin is exact, and what the toolkit needs is pinned."""
    lines = (ROOT / "constraints" / f"py{version}.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    needed = {"numpy", "pillow", "click", "tensorflow", "keras", "onnxruntime", "tf2onnx"}
    assert needed <= {name.lower() for name in pins}
