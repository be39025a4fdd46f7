"""Some hundred of the damaged photos and models that benchmarks/perf/fuzz reads by the thousand."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from color_model import ColorModels, edit_manifest, paint

from benchmarks.perf.fuzz import watch as watching
from benchmarks.perf.fuzz.commandline import run_models, run_photos
from benchmarks.perf.fuzz.models import make_model
from benchmarks.perf.fuzz.photos import photos
from benchmarks.perf.fuzz.watch import watch
from benchmarks.perf.fuzz.worker import photo_bytes
from edge_runtime import Classifier
from edge_runtime.engine import Engine
from edge_runtime.errors import BundleError, EdgeError, ModelError
from edge_runtime.preprocess import load_upright
from edge_runtime.trial.running import trial


def test_damaged_photos_are_read_or_refused() -> None:
    tally = watch("photo", range(600))
    assert not tally.findings
    assert set(tally.outcomes) == {"ok", "refused: ImageError"}


def test_damaged_models_are_read_or_refused(color_models: ColorModels) -> None:
    """What ends an interpreter is looked at below; nothing else may be unexpected."""
    tally = watch("model", range(300), color_models.bundle)
    assert not [f for f in tally.findings if f.what == "unexpected"]
    assert sum(tally.outcomes.values()) == 300
    assert tally.outcomes["refused: ModelError"] and tally.outcomes["refused: BundleError"]


def test_the_command_ends_as_designed(color_models: ColorModels, tmp_path: Path) -> None:
    photo = paint(tmp_path / "red.jpg", (255, 0, 0))
    assert not run_photos(color_models.tflite, range(50))
    assert not run_models(color_models.bundle, photo, range(2))


def test_inputs_are_made_of_their_number_alone(color_models: ColorModels, tmp_path: Path) -> None:
    """A failing one can be made again, in another process too."""
    assert photo_bytes(7, photos()) == photo_bytes(7, photos()) != photo_bytes(8, photos())
    for number in range(12):
        made = []
        for name in ("first", "second"):
            folder = tmp_path / f"{number}-{name}"
            folder.mkdir()
            kind, path = make_model(color_models.bundle, folder, number)
            files = sorted(f for f in path.rglob("*") if f.is_file()) or [path]
            made.append((kind, [file.read_bytes() for file in files]))
        assert made[0] == made[1]


def test_whole_photos_are_read() -> None:
    """Damage is all that is wrong with them."""
    for data in photos().values():
        assert load_upright(data).mode == "RGB"


@pytest.mark.parametrize(
    ("number", "what"), [(1, "crash"), (2, "hang"), (3, "memory"), (4, "memory"), (5, "unexpected")]
)
def test_what_must_not_happen_is_found(
    monkeypatch: pytest.MonkeyPatch, number: int, what: str
) -> None:
    """And the inputs after it are read by another worker."""
    monkeypatch.setattr(watching, "MODULE", "fuzz_faults")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.setattr(watching, "CPU_SECONDS", 0.5 if number == 2 else 30.0)
    monkeypatch.setattr(watching, "MEGABYTES", 200.0 if number == 3 else 1000.0)
    tally = watch("photo", [0, number, 0])
    assert [(f.number, f.what) for f in tally.findings] == [(number, what)]
    assert tally.outcomes["ok"] >= 2


def test_what_fuzzing_found_stays_mended(color_models: ColorModels, tmp_path: Path) -> None:
    """A tensor's name, a description and a file's name that are no text; figures that are no object."""
    photo = paint(tmp_path / "red.jpg", (255, 0, 0))

    def refused(path: Path, error: type[EdgeError], said: str) -> None:
        with pytest.raises(error, match=said):
            Classifier.open(path).classify(photo)

    named = tmp_path / "named.tflite"
    content = color_models.tflite_int8.read_bytes()
    assert b"StatefulPartitionedCall" in content
    named.write_bytes(content.replace(b"StatefulPartitionedCall", b"Stateful\xf4artitionedCall"))
    refused(named, ModelError, "no UTF-8 text")
    with pytest.raises(ModelError, match="cannot be read"):
        trial(named, Engine(interpreter="litert"))
    described = tmp_path / "described.onnx"
    described.write_bytes(
        color_models.onnx.read_bytes().replace(b'"class_names"', b'"class_n\xffmes"')
    )
    refused(described, ModelError, "no UTF-8 text")
    packed = tmp_path / "packed.tflite"
    content = color_models.tflite.read_bytes()
    directory = content.rindex(b"PK\1\2")
    packed.write_bytes(content[: directory + 10] + b"\x63" + content[directory + 11 :])
    refused(packed, ModelError, "description is damaged")  # a compression that nobody knows
    for number, (key, value) in enumerate(
        [("source", "text"), ("versions", [1]), ("about", "text"), ("calibration", 3)]
    ):
        bundle = Path(shutil.copytree(color_models.bundle, tmp_path / f"bundle{number}"))
        edit_manifest(bundle, **{key: value})
        refused(bundle, BundleError, "expected an object|not a model description")
    for number, name in enumerate(("a" * 100_000, "two\nlines", "\ud800")):
        bundle = Path(shutil.copytree(color_models.bundle, tmp_path / f"named{number}"))
        edit_manifest(bundle, artifacts=lambda old, name=name: [old[0] | {"file": name}])
        refused(bundle, BundleError, "file name")
