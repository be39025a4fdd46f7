"""A zipped bundle works like its folder, and can write nothing but its own files."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import os
import shutil
import stat
import struct
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from color_model import COLORS, ColorModels, paint

import edge_runtime.unpacked as unpacked
from edge_runtime.bundle import Bundle
from edge_runtime.classifier import Classifier
from edge_runtime.cli import cli
from edge_runtime.errors import BundleError, SystemFailure, UsageError
from edge_runtime.files import cache_folder


@pytest.fixture(autouse=True)
def fresh_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test has unpacked is unknown to the next."""
    monkeypatch.setattr(unpacked, "_used", {})
    monkeypatch.setattr(unpacked, "_temporary", {})


@pytest.fixture
def bundle(color_models: ColorModels, tmp_path: Path) -> Path:
    """A bundle with a SavedModel and golden photos."""
    from color_model import write_manifest

    folder = Path(shutil.copytree(color_models.bundle, tmp_path / "bundle"))
    shutil.copytree(color_models.saved_model, folder / "model-saved_model")
    files = {
        "tflite-fp32": folder / "model-tflite-fp32.tflite",
        "onnx-fp32": folder / "model-onnx-fp32.onnx",
        "saved_model": folder / "model-saved_model",
    }
    write_manifest(folder, files)
    (folder / "model-tflite-int8.tflite").unlink()
    (folder / "labels.txt").write_text("red\ngreen\nblue\n")
    paint(folder / "golden" / "golden-1.png", COLORS["red"])
    return folder


def zip_of(folder: Path, file: Path, below: str = "", how: int = zipfile.ZIP_DEFLATED) -> Path:
    """Zip a folder's contents, at the top level or below a folder of that name."""
    with zipfile.ZipFile(file, "w", how) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, f"{below}{path.relative_to(folder).as_posix()}")
    return file


@pytest.fixture
def zipped(bundle: Path, tmp_path: Path) -> Path:
    """It, as one file."""
    return zip_of(bundle, tmp_path / "bundle.zip")


def places() -> list[Path]:
    """What lies unpacked in the cache."""
    return [path for path in (cache_folder() / "bundles").glob("*") if path.is_dir()]


@pytest.mark.parametrize("below", ["", "groceries/"])
@pytest.mark.parametrize("how", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_works_like_the_folder(bundle: Path, tmp_path: Path, below: str, how: int) -> None:
    opened = Bundle.open(zip_of(bundle, tmp_path / "b.zip", below, how))
    plain = Bundle.open(bundle)
    assert opened.manifest == plain.manifest
    for artifact in plain.manifest.artifacts:
        _, file = opened.file(artifact.format)
        _, original = plain.file(artifact.format)
        if file.is_file():
            assert file.read_bytes() == original.read_bytes()
    opened.verify()
    assert (opened.path / "labels.txt").is_file() and (opened.path / "golden").is_dir()


@pytest.mark.parametrize("command", ["image", "info", "gradcam"])
def test_every_command_takes_it(zipped: Path, tmp_path: Path, command: str) -> None:
    photo = paint(tmp_path / "p.png", COLORS["green"])
    arguments = {
        "image": ["--model", zipped, photo],
        "info": [zipped],
        "gradcam": ["--model", zipped, photo, "--out", tmp_path / "why.png"],
    }[command]
    result = CliRunner().invoke(cli, [command, *map(str, arguments)])
    assert result.exit_code == 0, result.output
    assert "green" in result.stdout


def test_only_what_is_needed_is_unpacked_and_only_once(
    zipped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Classifier.open(zipped)
    (place,) = places()
    assert (place / "model-tflite-fp32.tflite").is_file()
    assert not (place / "model-saved_model").exists()
    assert not (place / "model-onnx-fp32.onnx").exists()
    stamp = (place / "model-tflite-fp32.tflite").stat().st_mtime_ns
    monkeypatch.setattr(unpacked, "Archive", None)  # it need not even be opened
    unpacked._used.clear()  # as another process
    Classifier.open(zipped)
    assert (place / "model-tflite-fp32.tflite").stat().st_mtime_ns == stamp


def test_same_content_under_two_names_is_unpacked_once(zipped: Path, tmp_path: Path) -> None:
    copy = shutil.copy(zipped, tmp_path / "copy.zip")
    assert Bundle.open(zipped).path == Bundle.open(copy).path
    assert len(places()) == 1


def test_replaced_file_is_another_content(bundle: Path, zipped: Path) -> None:
    first = Bundle.open(zipped).path
    (bundle / "labels.txt").write_text("other\n")
    zip_of(bundle, zipped)
    assert Bundle.open(zipped).path != first


def test_several_processes_at_once(zipped: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from edge_runtime.classifier import Classifier\n"
        f"print(Classifier.open({str(zipped)!r}).format)"
    )

    def start(_: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for done in pool.map(start, range(4)):
            assert (done.returncode, done.stdout) == (0, "tflite-fp32\n"), done.stderr
    (place,) = places()
    assert not [path for path in place.parent.iterdir() if path.name.startswith(".")]
    assert not list(place.glob(".*")), "nothing half-unpacked is left"


def test_cache_that_cannot_be_written(zipped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null/nowhere")
    opened = Bundle.open(zipped)
    assert opened.file()[1].is_file()
    assert opened.path == Bundle.open(zipped).path  # not twice in one process
    code = f"from edge_runtime import Bundle; print(Bundle.open({str(zipped)!r}).file()[1].parent)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not os.path.exists(done.stdout.strip()), "gone with the process"


def test_altered_copy_in_the_cache_is_replaced(zipped: Path) -> None:
    file = Bundle.open(zipped).file()[1]
    data = bytearray(file.read_bytes())
    data[-30] ^= 1
    file.write_bytes(data)
    Bundle.open(zipped).file()
    Bundle.open(zipped).verify()


def test_cache_keeps_the_latest(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of four contents, two are kept; the one that another process uses stays, too."""
    monkeypatch.setattr(unpacked, "KEPT", 2)
    opened, zips = [], []
    for number in range(4):
        (bundle / "labels.txt").write_text(f"{number}\n")
        zips.append(zip_of(bundle, tmp_path / f"{number}.zip"))
        if number == 0:
            code = (
                "import sys; from edge_runtime import Bundle\n"
                f"print(Bundle.open({str(zips[0])!r}).path, flush=True); sys.stdin.read()"
            )
            other = subprocess.Popen(
                [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            assert other.stdout is not None
            opened.append(Path(other.stdout.readline().decode().strip()))
        else:
            unpacked._used.clear()
            opened.append(Bundle.open(zips[-1]).path)
        time.sleep(0.01)  # their times must differ
    assert [place.is_dir() for place in opened] == [True, False, True, True]
    other.communicate()
    unpacked._used.clear()
    Bundle.open(zips[1])
    assert [place.is_dir() for place in opened] == [False, True, False, True]
    assert len(list(opened[0].parent.glob("*.used"))) == 2, "locks go with their folders"


def rewrite(zipped: Path, change: Callable[[zipfile.ZipFile], None]) -> None:
    """Add members to a zip file."""
    with zipfile.ZipFile(zipped, "a", zipfile.ZIP_DEFLATED) as archive:
        change(archive)


def member(name: str, mode: int = 0) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("placeholder")
    info.filename = name
    info.external_attr = mode << 16
    return info


@pytest.mark.parametrize(
    ("name", "mode", "said"),
    [
        ("../evil.txt", 0, "leaves the bundle"),
        ("golden/../../evil.txt", 0, "leaves the bundle"),
        ("/etc/evil.txt", 0, "leaves the bundle"),
        ("..\\evil.txt", 0, "not allowed"),
        ("C:/evil.txt", 0, "not allowed"),
        ("golden//evil.txt", 0, "leaves the bundle"),
        ("golden/link", stat.S_IFLNK | 0o777, "link"),
        ("golden/pipe", stat.S_IFIFO | 0o666, "link or no file"),
        ("labels.txt", 0, "twice"),
        ("LABELS.txt", 0, "case only"),
        ("labels.txt/deep.txt", 0, "a file and a folder"),
    ],
)
def test_member_that_no_bundle_has(
    zipped: Path, tmp_path: Path, name: str, mode: int, said: str
) -> None:
    with pytest.warns(UserWarning) if name == "labels.txt" else contextlib.nullcontext():
        rewrite(zipped, lambda archive: archive.writestr(member(name, mode), b"/etc/passwd"))
    refused(zipped, said)
    assert not list(tmp_path.rglob("evil.txt"))


def refused(zipped: Path, said: str) -> None:
    """The command says why, exits with 3, and leaves nothing in the cache."""
    result = CliRunner().invoke(cli, ["info", str(zipped)])
    assert result.exit_code == 3, result.output
    assert said in result.stderr and zipped.name in result.stderr
    assert "Traceback" not in result.stderr
    assert places() == []


def test_too_many_members(zipped: Path) -> None:
    rewrite(zipped, lambda a: [a.writestr(f"golden/{n}", b"") for n in range(1001)] and None)
    refused(zipped, "at most 1000")


def test_other_files_are_bounded(zipped: Path) -> None:
    """A hundred megabytes of zeros are a hundred kilobytes in the zip."""
    rewrite(zipped, lambda archive: archive.writestr("golden/zeros", bytes(100 << 20)))
    assert zipped.stat().st_size < 1 << 20
    refused(zipped, "Refused")


def test_artifact_larger_than_the_manifest_says(bundle: Path, tmp_path: Path) -> None:
    file = bundle / "model-tflite-fp32.tflite"
    file.write_bytes(file.read_bytes() + bytes(10 << 20))
    refused(zip_of(bundle, tmp_path / "b.zip"), "says")


def stated_sizes(zipped: Path, name: str, size: int) -> None:
    """Make the zip's directory and its local header state another unpacked size."""
    data = bytearray(zipped.read_bytes())
    for signature, at, fixed in ((b"PK\x01\x02", 24, 46), (b"PK\x03\x04", 22, 30)):
        start = data.find(signature)
        while start >= 0:
            if data[start + fixed : start + fixed + len(name)] == name.encode():
                data[start + at : start + at + 4] = struct.pack("<I", size)
            start = data.find(signature, start + 4)
    zipped.write_bytes(data)


def test_stated_size_that_lies(bundle: Path, tmp_path: Path) -> None:
    """More bytes come out than the directory and the manifest agree on: a bomb's trick."""
    name = "model-tflite-fp32.tflite"
    size = (bundle / name).stat().st_size
    (bundle / name).write_bytes(bytes(50 << 20))
    zipped = zip_of(bundle, tmp_path / "b.zip")
    stated_sizes(zipped, name, size)
    result = CliRunner().invoke(cli, ["info", str(zipped)])
    assert result.exit_code == 3 and "b.zip" in result.stderr, result.output
    (place,) = places()
    assert not (place / name).exists() and not list(place.glob(".*"))


def test_manifest_that_is_a_bomb(bundle: Path, tmp_path: Path) -> None:
    (bundle / "manifest.json").write_text(" " * (5 << 20))
    refused(zip_of(bundle, tmp_path / "b.zip"), "unpacks to more")


@pytest.mark.parametrize("keep", [0, 3, 100, 0.5, 0.99])
def test_cut_zip(zipped: Path, keep: float) -> None:
    data = zipped.read_bytes()
    zipped.write_bytes(data[: int(keep * len(data)) if isinstance(keep, float) else keep])
    refused(zipped, "damaged or cut off")


def test_altered_zip(bundle: Path, tmp_path: Path) -> None:
    """Whichever byte of the model is another, it is not used."""
    zipped = zip_of(bundle, tmp_path / "b.zip", how=zipfile.ZIP_STORED)
    data = bytearray(zipped.read_bytes())
    model = (bundle / "model-tflite-fp32.tflite").read_bytes()
    data[data.find(model) + len(model) // 2] ^= 1
    zipped.write_bytes(data)
    with pytest.raises(BundleError, match=r"b\.zip: damaged"):
        Bundle.open(zipped).file()
    Bundle.open(zipped).file("onnx-fp32")


def test_altered_model_with_a_right_checksum_of_the_zip(bundle: Path, tmp_path: Path) -> None:
    file = bundle / "model-tflite-fp32.tflite"
    data = bytearray(file.read_bytes())
    data[-30] ^= 1
    file.write_bytes(data)
    with pytest.raises(BundleError, match="SHA-256"):
        Bundle.open(zip_of(bundle, tmp_path / "b.zip")).file()
    (place,) = places()
    assert not (place / file.name).exists()


def test_encrypted(zipped: Path) -> None:
    data = bytearray(zipped.read_bytes())
    start = data.find(b"PK\x01\x02")
    data[start + 8] |= 1
    zipped.write_bytes(data)
    refused(zipped, "encrypted")


def test_random_damage_never_escapes(zipped: Path) -> None:
    """Random bytes of the directory changed: an error of ours, or the bundle as it is."""
    import numpy as np

    whole = zipped.read_bytes()
    start = whole.find(b"PK\x01\x02")
    random = np.random.default_rng(2)
    refusals = 0
    for _ in range(60):
        data = bytearray(whole)
        for place in random.integers(start, len(data), 3):
            data[place] = random.integers(0, 256)
        zipped.write_bytes(data)
        try:
            Bundle.open(zipped).file()
        except (BundleError, UsageError, SystemFailure):
            refusals += 1
    assert refusals > 10


def test_zip_that_holds_no_bundle(tmp_path: Path) -> None:
    file = tmp_path / "x.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("readme.txt", "hello")
    refused(file, "manifest.json is missing")
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a/manifest.json", "{}")
        archive.writestr("b/manifest.json", "{}")
    refused(file, "several bundles")


def test_artifact_that_is_missing(bundle: Path, tmp_path: Path) -> None:
    (bundle / "model-onnx-fp32.onnx").unlink()
    refused(zip_of(bundle, tmp_path / "b.zip"), "listed in manifest.json, but missing")


def test_what_macos_adds_is_left_aside(bundle: Path, tmp_path: Path) -> None:
    zipped = zip_of(bundle, tmp_path / "b.zip", "bundle/")
    rewrite(zipped, lambda a: a.writestr("__MACOSX/bundle/._manifest.json", b"x"))
    rewrite(zipped, lambda a: a.writestr("__MACOSX/manifest.json", b"x"))
    assert Bundle.open(zipped).file()[1].is_file()
    assert not list(places()[0].rglob("._*"))


def test_edge_bench_finds_it(zipped: Path) -> None:
    """Its child processes open the zip file, not the folder that is only partly unpacked."""
    from benchmarks.measuring.counting import count

    request = {"model": str(zipped), "format": None, "engine": {}, "settings": None, "photos": []}
    assert count(request) == {"answers": [], "unreadable": []}
    assert json.loads((places()[0] / "manifest.json").read_text())["class_names"]
