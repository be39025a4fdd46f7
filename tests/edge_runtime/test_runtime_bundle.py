"""A bundle is believed only as far as its files bear it out."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from color_model import edit_manifest

from edge_runtime.bundle import Bundle
from edge_runtime.errors import BundleError, UsageError
from edge_runtime.manifest import Manifest


def test_whole_bundle(bundle: Path) -> None:
    opened = Bundle.open(bundle)
    artifact, file = opened.file()
    assert artifact.format == "tflite-fp32" and file.is_file()
    opened.verify()


def test_manifest_survives_a_round_trip(bundle: Path) -> None:
    manifest = Bundle.open(bundle).manifest
    assert Manifest.from_json(manifest.to_json(), "copy") == manifest


def test_missing_file(bundle: Path) -> None:
    (bundle / "model-onnx-fp32.onnx").unlink()
    with pytest.raises(BundleError, match=r"model-onnx-fp32\.onnx: listed"):
        Bundle.open(bundle)


def test_cut_file(bundle: Path) -> None:
    file = bundle / "model-tflite-int8.tflite"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(BundleError, match="found 100"):
        Bundle.open(bundle)


def test_altered_byte_is_found_before_use(bundle: Path) -> None:
    file = bundle / "model-tflite-fp32.tflite"
    data = bytearray(file.read_bytes())
    data[-30] ^= 1
    file.write_bytes(data)
    opened = Bundle.open(bundle)
    with pytest.raises(BundleError, match="SHA-256"):
        opened.file("tflite-fp32")
    opened.file("onnx-fp32")


def test_checksum_is_computed_once_a_device(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashing at every start would cost a small board dearly; a changed file is hashed anew."""
    import edge_runtime.bundle as module

    hashed = []

    def count(path: Path) -> str:
        hashed.append(path)
        return real(path)

    real = module.sha256_tree
    monkeypatch.setattr(module, "sha256_tree", count)
    for _ in range(3):
        Bundle.open(bundle).file()
    assert len(hashed) == 1
    os.utime(bundle / "model-tflite-fp32.tflite", (1, 1))
    Bundle.open(bundle).file()
    assert len(hashed) == 2


def test_unwritable_cache_is_no_obstacle(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null/nowhere")
    Bundle.open(bundle).file()


@pytest.mark.parametrize(
    "name", ["../outside.tflite", "/etc/passwd", "a/../../b", "", "a\\b", "c:b", "./x", 7]
)
def test_file_name_that_leaves_the_folder(bundle: Path, name: object) -> None:
    edit_manifest(bundle, artifacts=lambda found: [found[0] | {"file": name}])
    with pytest.raises(BundleError, match=r"file name|manifest"):
        Bundle.open(bundle)


def test_link_that_leaves_the_folder(bundle: Path, tmp_path: Path) -> None:
    file = bundle / "model-tflite-fp32.tflite"
    outside = tmp_path / "outside.tflite"
    file.rename(outside)
    file.symlink_to(outside)
    with pytest.raises(BundleError, match="leaves the bundle"):
        Bundle.open(bundle)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"artifacts": []}, "no artifact"),
        ({"artifacts": lambda a: [a[0], a[0]]}, "listed twice"),
        ({"artifacts": lambda a: [a[0] | {"format": "tflite-int3"}]}, "not known"),
        ({"artifacts": lambda a: [a[0] | {"sha256": "12"}]}, "sha256"),
        ({"artifacts": lambda a: [a[0] | {"bytes": -1}]}, "bytes"),
        ({"artifacts": 3}, "not a bundle manifest"),
        ({"default": "onnx-fp16"}, "default"),
        ({"schema_version": 99}, "Upgrade"),
        ({"class_names": ["a", "a"]}, "twice"),
        ({"class_names": "abc"}, "list of names"),
        ({"input": {"width": 32}}, "height"),
        ({"input": {"width": 32, "height": 32, "layout": "CHWN"}}, "layout"),
        ({"preprocess": {"fit": "x", "kernel": "bilinear"}}, "fit"),
        ({"output": {"kind": "logits", "temperature": -1}}, "temperature"),
        ({"output": {"kind": "guesses"}}, "kind"),
    ],
)
def test_manifest_that_cannot_be_right(bundle: Path, changes: dict, said: str) -> None:
    edit_manifest(bundle, **changes)
    with pytest.raises(BundleError, match=said) as caught:
        Bundle.open(bundle)
    assert "manifest.json" in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\x00", '{"a": 1}'])
def test_manifest_that_is_none(bundle: Path, text: str) -> None:
    (bundle / "manifest.json").write_text(text)
    with pytest.raises(BundleError, match=r"manifest\.json"):
        Bundle.open(bundle)


def test_folder_that_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="not a bundle"):
        Bundle.open(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is a file"):
        Bundle.open(tmp_path / "file")
    with pytest.raises(UsageError, match="no such bundle"):
        Bundle.open(tmp_path / "none")


def test_formats(bundle: Path) -> None:
    opened = Bundle.open(bundle)
    with pytest.raises(UsageError, match="Did you mean tflite-int8"):
        opened.file("tflite-in8")
    with pytest.raises(UsageError, match="has no saved_model"):
        opened.file("saved_model")


def test_default_is_what_the_manifest_records(bundle: Path) -> None:
    data = json.loads((bundle / "manifest.json").read_text())
    data["default"] = "onnx-fp32"
    (bundle / "manifest.json").write_text(json.dumps(data))
    assert Bundle.open(bundle).file()[0].format == "onnx-fp32"
