"""A bundle as one file: what is in it, that it works like the folder, and what it may replace."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from edge_runtime import Bundle, archive, unpacked
from edge_runtime.cli import cli as classify
from edge_runtime.errors import BundleError, ModelError, OutputExists, UsageError
from edge_runtime.files import find_photos
from exporter import package
from exporter.cli import cli
from exporter.package import export_bundle
from exporter.target import Target, only_writer
from exporter.verify import verify_bundle
from exporter.zipped import write_zip

FORMATS = ("tflite-fp32", "onnx-fp32")


@pytest.fixture(autouse=True)
def fresh_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test has unpacked is unknown to the next."""
    monkeypatch.setattr(unpacked, "_used", {})
    monkeypatch.setattr(unpacked, "_temporary", {})


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != "cache")


@pytest.mark.parametrize(
    ("out", "zipped", "folder", "file"),
    [
        ("bundle", False, "bundle", None),
        ("bundle", True, "bundle", "bundle.zip"),
        ("v1.2", True, "v1.2", "v1.2.zip"),
        ("bundle.zip", False, None, "bundle.zip"),
        ("bundle.ZIP", True, None, "bundle.ZIP"),
    ],
)
def test_what_the_options_say(out: str, zipped: bool, folder: str | None, file: str | None) -> None:
    target = Target.of(out, zipped)
    assert (target.folder and str(target.folder)) == folder
    assert (target.zip and str(target.zip)) == file


def test_this_folder_as_a_zip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``--out . --zip``: the folder's own name."""
    (tmp_path / "bundle").mkdir()
    monkeypatch.chdir(tmp_path / "bundle")
    assert Target.of(".", True).zip == tmp_path / "bundle.zip"


@pytest.mark.usefixtures("instant")
def test_one_file_alone(run: Path, tmp_path: Path) -> None:
    """It works like the folder: an answer, the self-test, and the repeated proof."""
    out = tmp_path / "bundle.zip"
    report = export_bundle(run, out, FORMATS)
    assert (report.bundle, report.zip) == (str(out), str(out))
    assert names(tmp_path) == ["bundle.zip"]
    bundle = Bundle.open(out)
    assert [artifact.format for artifact in bundle.manifest.artifacts] == list(FORMATS)
    bundle.verify()
    photo = find_photos(run.parent / "photos" / "val" / "green")[0]
    for arguments in (["image", "--model", out, "--json", photo], ["selftest", out], ["info", out]):
        done = CliRunner().invoke(classify, [str(argument) for argument in arguments])
        assert done.exit_code == 0, done.output
        if arguments[0] == "image":
            assert json.loads(done.stdout)["label"] == "green"
    found = verify_bundle(out, run.parent / "photos")
    found.check()
    assert found.photos["n"] == found.photos["expected"] == 18  # six of each class


@pytest.mark.usefixtures("instant")
def test_beside_the_folder(run: Path, tmp_path: Path) -> None:
    """By the command; the same files in both, and nothing else."""
    out = tmp_path / "bundle"
    arguments = ["bundle", run, "--out", out, "--zip", "--formats", ",".join(FORMATS), "--json"]
    done = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert (report["bundle"], report["zip"]) == (str(out), f"{out}.zip")
    assert names(tmp_path) == ["bundle", "bundle.zip"]
    with zipfile.ZipFile(tmp_path / "bundle.zip") as packed:
        content = {name: packed.read(name) for name in packed.namelist()}
    files = [path for path in out.rglob("*") if path.is_file()]
    assert content == {path.relative_to(out).as_posix(): path.read_bytes() for path in files}


def test_the_same_bundle_gives_the_same_bytes(exported: SimpleNamespace, tmp_path: Path) -> None:
    """Whatever the dates and modes of its files, and the order in which they were written."""
    write_zip(exported.bundle, tmp_path / "a.zip")
    other = tmp_path / "other"
    for path in sorted(exported.bundle.rglob("*"), reverse=True):
        if path.is_file():
            target = other / path.relative_to(exported.bundle)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
            os.utime(target, (1e9, 1e9))
            target.chmod(0o600)
    write_zip(other, tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip") as packed:
        entries = packed.infolist()
    assert [entry.filename for entry in entries] == sorted(entry.filename for entry in entries)
    assert {entry.compress_type for entry in entries} == {zipfile.ZIP_STORED}
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert {oct(entry.external_attr >> 16) for entry in entries} == {"0o100644"}


@pytest.mark.usefixtures("instant")
def test_what_is_replaced(run: Path, tmp_path: Path, exported: SimpleNamespace) -> None:
    """An earlier bundle with --overwrite; no other file, and nothing without."""
    out = tmp_path / "bundle.zip"
    out.write_text("thesis")
    for arguments, error, message in (
        ({}, OutputExists, "--overwrite"),
        ({"overwrite": True}, UsageError, "not a bundle"),
    ):
        with pytest.raises(error, match=message):
            export_bundle(run, out, FORMATS, **arguments)
    assert out.read_text() == "thesis"
    out.unlink()
    write_zip(exported.bundle, out)
    with pytest.raises(OutputExists):
        export_bundle(run, tmp_path / "bundle", FORMATS, zipped=True)
    assert names(tmp_path) == ["bundle.zip"]
    export_bundle(run, out, ["onnx-fp32"], overwrite=True)
    assert [entry.format for entry in Bundle.open(out).manifest.artifacts] == ["onnx-fp32"]


def test_a_folder_in_its_place(run: Path, tmp_path: Path) -> None:
    (tmp_path / "bundle.zip").mkdir()
    with pytest.raises(UsageError, match="is a folder"):
        export_bundle(run, tmp_path / "bundle.zip", FORMATS, overwrite=True)


@pytest.mark.usefixtures("instant")
def test_a_failure_leaves_the_old_one(
    run: Path, tmp_path: Path, exported: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a conversion, or at the end, where the runtime would refuse the file."""
    out = tmp_path / "bundle.zip"
    write_zip(exported.bundle, out)
    before = out.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(archive, "_MAX_OTHERS", 1000)
        with pytest.raises(BundleError, match="a bundle has at most 1000"):
            export_bundle(run, out, FORMATS, overwrite=True)

    def fail(*_: object) -> None:
        raise ModelError("tflite-fp32: the converter failed (no reason).")

    monkeypatch.setattr(package.Converter, "convert", fail)
    with pytest.raises(ModelError, match="the converter failed"):
        export_bundle(run, out, FORMATS, overwrite=True)
    assert out.read_bytes() == before
    assert names(tmp_path) == ["bundle.zip"]


def test_two_exports_to_one_file(run: Path, tmp_path: Path) -> None:
    with (
        only_writer(tmp_path / "bundle.zip"),
        pytest.raises(UsageError, match="another export is writing there"),
    ):
        export_bundle(run, tmp_path / "bundle", FORMATS, zipped=True)
    assert names(tmp_path) == []
