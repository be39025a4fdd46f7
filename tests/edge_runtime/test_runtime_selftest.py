"""The self-test notices whatever differs on this machine, and says what it is."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from color_model import ColorModels, edit_manifest, write_manifest
from golden_photos import write_golden
from PIL import Image

import edge_runtime.selftest as module
from edge_runtime.bundle import Bundle
from edge_runtime.child.asking import Session
from edge_runtime.cli import cli
from edge_runtime.preprocess import preprocess

#: Same file, same interpreter, same machine: no difference at all.
FORMATS = {"tflite-fp32": 0.0, "tflite-int8": 0.0, "onnx-fp32": 0.0}


@pytest.fixture(scope="module")
def golden_bundle(color_models: ColorModels, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The known classifier's bundle with golden photos; read-only."""
    folder = tmp_path_factory.mktemp("golden") / "bundle"
    shutil.copytree(color_models.bundle, folder)
    write_golden(folder, FORMATS)
    return folder


@pytest.fixture
def bundle(golden_bundle: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(golden_bundle, tmp_path / "bundle"))


@pytest.fixture(scope="module")
def one_child() -> Iterator[Session]:
    """One child process for the tests that are not about it."""
    with Session(module.COMMAND) as session:
        yield session


@pytest.fixture
def quick(one_child: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the command use that child."""

    class Shared:
        def __init__(self, command: Any) -> None: ...
        def __enter__(self) -> Session:
            return one_child

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(module, "Session", Shared)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["selftest", *map(str, arguments)])


def change(bundle: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    """Edit golden.json."""
    file = bundle / "golden/golden.json"
    data = json.loads(file.read_text())
    edit(data)
    file.write_text(json.dumps(data))


def test_whole_bundle(bundle: Path) -> None:
    result = run(bundle, "--json")
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert answer["passed"] and answer["versions"]["numpy"] == np.__version__
    kinds = [(check["kind"], check["result"]) for check in answer["checks"]]
    assert kinds == [("checksums", "ok"), *[("photo", "ok")] * 2, *[("artifact", "ok")] * 3]
    for check in answer["checks"][3:]:
        assert (check["max_abs_diff"], check["same_label"], check["photos"]) == (0, 2, 2)
        assert check["ms"] > 0 and check["interpreter"] in ("litert", "onnxruntime")


@pytest.mark.usefixtures("quick")
def test_lines_for_people(bundle: Path) -> None:
    result = run(bundle, "--format", "tflite-int8")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "ok       checksums bundle",
        "ok       photo golden-1.jpg",
        "ok       photo golden-2.png",
        "ok       artifact tflite-int8",
    ]
    assert "2 of 2 labels" in lines[-1] and "litert" in lines[-1]


@pytest.mark.usefixtures("quick")
def test_zip_file(bundle: Path, tmp_path: Path) -> None:
    zipped = shutil.make_archive(str(tmp_path / "b"), "zip", bundle)
    result = run(zipped, "--format", "tflite-fp32")
    assert result.exit_code == 0, result.output
    assert "checksums b.zip" in result.stdout


def shifted(levels: int) -> Callable[..., np.ndarray]:
    """A preprocessing that is off by some grey levels in one pixel."""

    def wrong(photo: Any, spec: Any) -> np.ndarray:
        pixels = preprocess(photo, spec).astype(np.int16)
        pixels[3, 4, 1] += levels if pixels[3, 4, 1] < 128 else -levels
        return pixels.astype(np.uint8)

    return wrong


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("levels", "jpeg", "png"), [(1, "ok", "failed"), (2, "failed", "failed")])
def test_decoder_or_resizer_that_differs(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, levels: int, jpeg: str, png: str
) -> None:
    """A JPEG may differ by one grey level, a PNG not at all; the artifacts are judged alone."""
    monkeypatch.setattr(module, "preprocess", shifted(levels))
    result = run(bundle, "--format", "onnx-fp32", "--json")
    assert result.exit_code == 4 and "golden-2.png" in result.stderr
    checks = {check["subject"]: check for check in json.loads(result.stdout)["checks"]}
    assert checks["golden-1.jpg"]["result"] == jpeg
    assert checks["golden-1.jpg"]["max_diff"] == levels
    assert checks["golden-2.png"]["result"] == png
    # Run on the JPEG's stored pixels; the PNG's are not known.
    assert (checks["onnx-fp32"]["result"], checks["onnx-fp32"]["photos"]) == ("ok", 1)


@pytest.mark.usefixtures("quick")
def test_photo_that_this_machine_cannot_decode(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edge_runtime.errors import ImageError

    def refuse(photo: Any, spec: Any) -> np.ndarray:
        raise ImageError("no decoder")

    monkeypatch.setattr(module, "preprocess", refuse)
    result = run(bundle)
    assert result.exit_code == 4
    assert result.stdout.count("failed   photo") == 2 and "no decoder" in result.stdout


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("off", "code"), [(0.004, 0), (0.006, 4)])
def test_scores_within_the_tolerance(bundle: Path, off: float, code: int) -> None:
    def edit(data: dict[str, Any]) -> None:
        data["photos"][0]["scores"]["tflite-int8"][0] += off
        data["tolerances"]["tflite-int8"]["max_abs_diff"] = 0.005

    change(bundle, edit)
    result = run(bundle, "--json")
    assert result.exit_code == code, result.output
    check = next(c for c in json.loads(result.stdout)["checks"] if c["subject"] == "tflite-int8")
    assert check["max_abs_diff"] == pytest.approx(off, abs=1e-6)
    assert (code == 4) == ("1 of 6 checks failed: tflite-int8" in result.stderr)


def test_crash_of_an_interpreter_is_a_failed_line(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the artifacts after it are run."""
    code = (
        "import os; from edge_runtime import selftest_worker as w\n"
        "work = w.work\n"
        "w.work = lambda r: os.abort() if 'int8' in r['model'] else work(r)\n"
        "w.main()"
    )
    monkeypatch.setattr(module, "COMMAND", (sys.executable, "-c", code))
    result = run(bundle)
    assert result.exit_code == 4
    assert "failed   artifact tflite-int8: the process died of SIGABRT" in result.stdout
    assert "ok       artifact onnx-fp32" in result.stdout


def test_an_interpreter_for_none_of_its_files(bundle: Path) -> None:
    """A proof of nothing is no proof."""
    edit_manifest(bundle, artifacts=lambda artifacts: artifacts[:1])  # a TFLite file
    result = run(bundle, "--interpreter", "onnxruntime")
    assert result.exit_code == 2 and "No file of the bundle was run" in result.stderr


def test_missing_interpreter(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import sys; sys.modules['onnxruntime'] = None\n"
        "from edge_runtime.selftest_worker import main; main()"
    )
    monkeypatch.setattr(module, "COMMAND", (sys.executable, "-c", code))
    result = run(bundle)
    assert result.exit_code == 0, result.output
    assert "not run  artifact onnx-fp32: onnxruntime is needed" in result.stdout
    named = run(bundle, "--format", "tflite-fp32", "--format", "onnx-fp32")
    assert named.exit_code == 5 and "edge-classify[onnx]" in named.stderr
    assert "ok       artifact tflite-fp32" in named.stdout


def test_nothing_can_be_run(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A self-test that ran no model has proved nothing about them."""
    write_manifest(bundle, {"onnx-fp32": bundle / "model-onnx-fp32.onnx"}, "onnx-fp32")
    code = (
        "import sys; sys.modules['onnxruntime'] = None\n"
        "from edge_runtime.selftest_worker import main; main()"
    )
    monkeypatch.setattr(module, "COMMAND", (sys.executable, "-c", code))
    assert run(bundle).exit_code == 5


def first(data: dict[str, Any]) -> dict[str, Any]:
    photo: dict[str, Any] = data["photos"][0]
    return photo


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda d: d.pop("version"), "older edge-export"),
        (lambda d: d.update(version=1), "older edge-export"),
        (lambda d: d.update(version=3), "Upgrade"),
        (lambda d: d.update(photos=[]), "no photo"),
        (lambda d: d.update(photos=3), "damaged"),
        (lambda d: first(d).pop("exact"), "damaged"),
        (lambda d: first(d).update(exact="no"), "damaged"),
        (lambda d: first(d).update(file="../manifest.json"), "leaves the bundle"),
        (lambda d: first(d).update(sha256="0" * 64), "golden-1.jpg: its SHA-256"),
        (lambda d: first(d).update(pixels_sha256="0" * 64), "its pixels are not those"),
        (lambda d: first(d).update(pixels=None), "no pixels to compare"),
        (lambda d: first(d).update(pixels="none.png"), "none.png: missing"),
        (lambda d: first(d)["scores"].pop("onnx-fp32"), "no scores of onnx-fp32"),
        (lambda d: d["tolerances"].pop("onnx-fp32"), "no scores of onnx-fp32"),
        (lambda d: first(d)["scores"].update({"onnx-fp32": [1.0]}), "expected 3 scores"),
        (lambda d: first(d)["scores"]["onnx-fp32"].__setitem__(0, None), "expected 3 scores"),
    ],
)
def test_golden_json_that_cannot_be_right(
    bundle: Path, edit: Callable[[dict[str, Any]], None], said: str
) -> None:
    change(bundle, edit)
    result = run(bundle)
    assert (result.exit_code, result.stdout) == (3, ""), result.output
    assert said in result.stderr


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000])
def test_golden_json_that_is_none(bundle: Path, text: str) -> None:
    (bundle / "golden/golden.json").write_text(text)
    result = run(bundle)
    assert (result.exit_code, result.stdout) == (3, ""), result.output
    assert "golden.json: damaged" in result.stderr


def test_missing_golden_photos_and_altered_model(bundle: Path) -> None:
    """What was remembered of a file's checksum does not count here."""
    Bundle.open(bundle).file("onnx-fp32")
    file = bundle / "model-onnx-fp32.onnx"
    stat = file.stat()
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    result = run(bundle)
    assert result.exit_code == 3 and "SHA-256" in result.stderr
    data[-1] ^= 1
    file.write_bytes(data)
    shutil.rmtree(bundle / "golden")
    result = run(bundle)
    assert result.exit_code == 3 and "golden.json: missing" in result.stderr


def test_unknown_format(bundle: Path) -> None:
    assert run(bundle, "--format", "tflite-int9").exit_code == 2
    assert run(bundle, "--format", "onnx-fp16").exit_code == 2


def test_damaged_picture_of_the_pixels(bundle: Path) -> None:
    file = bundle / "golden/golden-1.pixels.png"
    Image.open(file).rotate(90).save(file)
    result = run(bundle)
    assert result.exit_code == 3 and "golden-1.pixels.png" in result.stderr
