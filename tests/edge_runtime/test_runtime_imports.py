"""What the device loads, pinned: every import costs a small board its start-up."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from color_model import ColorModels, paint
from foreign_models import onnx, write_labels

#: Packages outside the standard library that may be loaded, and who loads them.
ALWAYS = {"edge_runtime", "numpy", "PIL", "click", "colorama"}
INTERPRETER = {
    "tflite": {"ai_edge_litert", "tflite_runtime"},
    "onnx": {"onnxruntime"},
}
#: Left behind by the environment, not by us: .pth files of editable installs and namespace links.
ENVIRONMENT = {"_distutils_hack", "__editable___edge_classify_0_1_0_finder", "_virtualenv"}

FORBIDDEN = {"tensorflow", "keras", "cv2", "matplotlib", "pydantic", "sklearn", "yaml", "rich"}

#: Modules of this package that classifying a photo with a bundle's TFLite file needs. One more
#: costs the start a third of a millisecond on a desktop and ten times that on a Pi: add it only if
#: every photo needs it, and import what only some need where they need it.
COLD = {
    "edge_runtime",
    *(
        f"edge_runtime.{name}"
        for name in (
            "backends", "backends.base", "backends.delegates", "backends.feeding",
            "backends.interpreters", "backends.litert", "bundle", "classifier", "cli", "commands",
            "commands.engine_options", "commands.image", "commands.options",
            "commands.settings_options", "console", "description", "engine", "errors", "files",
            "input_spec", "manifest", "meanwhile", "opening", "output", "output.plain",
            "output.sink", "output.text", "photo_run", "photos", "photos.decoding", "photos.file",
            "photos.finding", "photos.formats", "pipeline", "postprocess", "prediction",
            "preprocess", "quiet", "records", "seen", "tried",
        )
    ),
}  # fmt: skip

#: Modules of the standard library that are easily imported without need: each is dear (hashlib loads
#: OpenSSL, 3 MB) or loads many others. What numpy, Pillow and the interpreter load anyway is free.
DEAR = {
    "asyncio", "concurrent.futures", "csv", "dataclasses", "hashlib", "http", "importlib.metadata",
    "importlib.resources", "multiprocessing", "pathlib", "shutil", "sqlite3", "ssl", "tempfile",
    "unittest", "urllib.request", "xml", "zipfile",
}  # fmt: skip

_REPORT = """
import atexit, json, sys
before = set(sys.modules)
def report():
    names = {name.partition(".")[0] for name in set(sys.modules) - before}
    origin = {name: getattr(sys.modules[name], "__file__", None) for name in names if name in sys.modules}
    third = {n for n, f in origin.items() if f and ("site-packages" in f or n not in sys.stdlib_module_names)}
    sys.stderr.write("LOADED " + json.dumps(sorted(third)) + "\\n")
atexit.register(report)
"""


def loaded_by(code: str) -> set[str]:
    """Third-party packages that a fresh Python loads for some code."""
    done = subprocess.run(
        [sys.executable, "-c", _REPORT + code], capture_output=True, text=True, check=True
    )
    line = next(line for line in done.stderr.splitlines() if line.startswith("LOADED "))
    return set(json.loads(line.removeprefix("LOADED "))) - ENVIRONMENT


def test_import_of_the_package() -> None:
    """The names are there, and nothing is loaded before one of them is used."""
    assert loaded_by("import edge_runtime") == {"edge_runtime"}


def test_import_of_the_classifier() -> None:
    assert (
        loaded_by(
            "from edge_runtime import Classifier; from edge_runtime.preprocess import preprocess"
        )
        <= ALWAYS
    )


@pytest.mark.parametrize("form", ["tflite", "tflite_int8", "onnx", "bundle"])
def test_classifying(color_models: ColorModels, tmp_path: Path, form: str) -> None:
    photo = paint(tmp_path / "p.jpg", (255, 0, 0))
    code = (
        "from edge_runtime.cli import cli\n"
        f"cli(['image', '--model', {str(getattr(color_models, form))!r}, {str(photo)!r}])"
    )
    loaded = loaded_by(code)
    kind = "onnx" if form == "onnx" else "tflite"
    assert loaded & INTERPRETER[kind], "the interpreter itself must have run"
    assert loaded - ALWAYS - INTERPRETER[kind] <= (
        {"flatbuffers", "packaging"} if kind == "onnx" else set()
    )
    assert not loaded & FORBIDDEN


def test_cold_start(color_models: ColorModels, tmp_path: Path) -> None:
    """Run as the installed command runs; once before, because checksums are remembered."""
    photo = paint(tmp_path / "p.jpg", (255, 0, 0))
    arguments = ["edge-classify", "image", "--model", str(color_models.bundle), str(photo)]
    code = (
        "import importlib.util, sys\n"
        "import numpy, PIL.Image, PIL.ImageOps\n"
        "litert = importlib.util.find_spec('ai_edge_litert') is not None\n"
        "importlib.import_module(('ai_edge_litert' if litert else 'tflite_runtime') + '.interpreter')\n"
        "before = set(sys.modules)\n"
        f"sys.argv = {arguments!r}\n"
        "import atexit, json\n"
        "atexit.register(lambda: print(json.dumps(sorted(set(sys.modules) - before))))\n"
        "from edge_runtime.cli import cli\n"
        "cli()"
    )
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
    answer, report = done.stdout.splitlines()
    assert ": red 1.000" in answer
    loaded = set(json.loads(report))
    own = {name for name in loaded if name.partition(".")[0] == "edge_runtime"}
    assert own <= COLD, "an import that not every photo needs"
    assert not loaded & DEAR


def test_the_plain_case_loads_no_more_than_it_uses(
    color_models: ColorModels, tmp_path: Path
) -> None:
    """What sorts, watches, draws, and writes other forms is loaded only where it is asked for."""
    photo = paint(tmp_path / "p.jpg", (255, 0, 0))
    code = (
        "import sys\nfrom edge_runtime.cli import cli\n"
        f"cli(['image', '--model', {str(color_models.tflite)!r}, {str(photo)!r}], "
        "standalone_mode=False)\n"
        "print(*sorted(n for n in sys.modules if n.startswith('edge_runtime.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "edge_runtime.output.text" in loaded
    for name in ("sorting", "photos.watching", "progress", "heat", "heatmap", "photos.patterns",
                 "photos.roi", "output.table", "output.rows", "output.jsonl"):  # fmt: skip
        assert f"edge_runtime.{name}" not in loaded, name


@pytest.mark.parametrize("form", ["tflite", "tflite_int8", "bundle"])
def test_heat_map(color_models: ColorModels, tmp_path: Path, form: str) -> None:
    photo, out = paint(tmp_path / "p.jpg", (255, 0, 0)), tmp_path / "why.png"
    model = str(getattr(color_models, form))
    code = (
        "from edge_runtime.cli import cli\n"
        f"cli(['gradcam', '--model', {model!r}, {str(photo)!r}, '--out', {str(out)!r}])"
    )
    loaded = loaded_by(code)
    assert out.is_file() and loaded & INTERPRETER["tflite"]
    assert loaded - ALWAYS <= INTERPRETER["tflite"]


@pytest.mark.parametrize("beside", [False, True])
def test_model_of_others(tmp_path: Path, beside: bool) -> None:
    """YAML is loaded where one lies beside the model, and for nothing else."""
    model = onnx(tmp_path / "m.onnx")
    labels, photo = write_labels(tmp_path), paint(tmp_path / "p.png", (255, 0, 0))
    given = [] if beside else ["--labels", str(labels), "--normalization", "unit"]
    if beside:
        (tmp_path / "m.yaml").write_text("labels: labels.txt\nnormalization: unit\n")
    code = (
        "from edge_runtime.cli import cli\n"
        f"cli(['image', '--model', {str(model)!r}, {str(photo)!r}, *{given!r}])"
    )
    loaded = loaded_by(code) - {"_yaml"}
    assert loaded & {"yaml"} == ({"yaml"} if beside else set())
    assert loaded - {"yaml"} - ALWAYS <= {"onnxruntime", "flatbuffers", "packaging"}


def test_info_of_a_tflite_file_needs_no_interpreter(
    color_models: ColorModels, tmp_path: Path
) -> None:
    """Not even of others, where the graph tells what its scores are."""
    code = f"from edge_runtime.cli import cli\ncli(['info', {str(color_models.tflite)!r}])"
    assert loaded_by(code) <= ALWAYS
    content = color_models.tflite.read_bytes()
    (tmp_path / "bare.tflite").write_bytes(content[: content.index(b"PK\x03\x04")])
    (tmp_path / "bare.json").write_text('{"labels": ["a", "b", "c"], "normalization": "raw"}')
    code = f"from edge_runtime.cli import cli\ncli(['info', {str(tmp_path / 'bare.tflite')!r}])"
    assert loaded_by(code) <= ALWAYS


@pytest.mark.parametrize(
    "arguments",
    [["--help"], *([name, "--help"] for name in ("image", "stream", "info", "selftest", "undo"))],
)
def test_help_is_light(arguments: list[str]) -> None:
    """Help needs neither numpy nor Pillow."""
    code = f"from edge_runtime.cli import cli\ncli({arguments!r})"
    assert loaded_by(code) <= {"edge_runtime", "click", "colorama"}
