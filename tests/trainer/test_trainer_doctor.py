"""``edge-train check``: what the data doctor finds, and that it agrees with ``fit``."""

from __future__ import annotations

import json
import os
import shutil
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from benchmarks.perf.damage import WAYS, damage_set
from edge_runtime.errors import ImageError, UsageError
from edge_runtime.files import find_photos
from edge_runtime.manifest import PreprocessSpec
from edge_runtime.preprocess import preprocess
from trainer.cli import cli
from trainer.data.dataset import index_dataset
from trainer.doctor import examine, quick_findings, warn_of_findings
from trainer.doctor.classes import balance_findings, name_findings
from trainer.doctor.content import describe_content, photo_format
from trainer.doctor.examine import map_ahead
from trainer.doctor.findings import KINDS
from trainer.doctor.layout import read_layout
from trainer.doctor.photo import inspect
from trainer.doctor.report import brief, print_report

SHARED = Path(os.environ.get("EDGE_CLASSIFY_SHARED", Path(__file__).parents[3] / "shared"))


def kinds_of(examination, path=None):
    """Kinds of the findings, or of those that name a path; class sizes of tiny sets left out."""
    return {
        found.kind
        for found in examination.findings
        if (path is None or str(path) in found.paths) and found.kind != "few-photos"
    }


def picture(width=80, height=80, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def sound(make_photos, tmp_path_factory):
    """Parts with ten photos a class, nothing wrong with them."""
    root = tmp_path_factory.mktemp("sound")
    for seed, part in enumerate(("train", "val", "test")):
        make_photos(root / part, count=10, seed=seed)
    return root


@pytest.fixture
def data(sound, tmp_path):
    """A copy of the sound photos to spoil."""
    return shutil.copytree(sound, tmp_path / "data")


# the whole --------------------------------------------------------------------------------------


def test_a_sound_set_has_no_finding(sound):
    examination = examine(sound)
    assert examination.findings == []
    assert examination.photos == examination.readable == 90
    assert examination.counts["val"] == {"blue dots": 10, "green": 10, "red stripes": 10}


def test_a_folder_of_classes_that_is_not_split(photo_folder):
    assert examine(photo_folder).findings == []
    first = photo_folder / "green" / "photo_000.jpg"
    shutil.copy(first, photo_folder / "green" / "again.jpg")
    examination = examine(photo_folder)
    assert kinds_of(examination, first) == {"duplicate"}
    assert examination.as_dict()["counts"] == {
        "all": {"blue dots": 10, "green": 11, "red stripes": 10}
    }


def test_every_damage_is_found_and_nothing_else(data):
    """Seventeen ways of damage, one photo each, and as many copies across parts."""
    done = damage_set(data, share=0.2)
    assert {damage.way for damage in done} == {way.name for way in WAYS} | {"copied across parts"}
    examination = examine(data)
    for damage in done:
        assert kinds_of(examination, damage.path) & set(damage.kinds), damage
        if damage.source:
            assert "leakage" in kinds_of(examination, damage.source)
    touched = {damage.path for damage in done} | {damage.source for damage in done}
    for found in examination.findings:
        files = {path for path in found.paths if os.path.isfile(path)}
        assert files <= touched, found


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_check_and_fit_agree_on_what_can_be_read(way, tmp_path):
    import random

    image = picture(120, 100)
    image.save(tmp_path / "sound.jpg")
    path = tmp_path / f"photo{way.extension}"
    path.write_bytes(way.make(image, (tmp_path / "sound.jpg").read_bytes(), random.Random(0)))
    try:
        preprocess(path, PreprocessSpec(224, 224))
        readable = True
    except ImageError:
        readable = False
    assert (not inspect(str(path)).problem) is readable
    assert readable is (way.kinds[0] != "unreadable")


def test_exit_code_and_json(data, sound):
    clean = CliRunner().invoke(cli, ["check", str(sound), "--json"], standalone_mode=False)
    assert clean.exit_code == 0 and json.loads(clean.stdout)["findings"] == []
    broken = data / "train" / "green" / "photo_001.png"
    broken.write_bytes(b"<html>gone</html>")
    result = CliRunner().invoke(cli, ["check", str(data), "--json"])
    assert result.exit_code == 3
    (finding,) = json.loads(result.stdout)["findings"]
    assert finding == {
        "severity": "error",
        "kind": "unreadable",
        "paths": [str(broken)],
        "message": "holds an HTML page.",
        "remedy": KINDS["unreadable"].remedy,
    }
    table = CliRunner().invoke(cli, ["check", str(data)])
    assert table.exit_code == 3
    assert f"{broken}: holds an HTML page." in table.stdout
    assert "1 error, 0 warnings, 0 notes" in table.stdout
    assert "1 error that would spoil" in table.stderr


def test_a_warning_is_no_reason_to_stop(data):
    Image.new("RGB", (50, 50), "red").save(data / "train" / "green" / "red.png")
    result = CliRunner().invoke(cli, ["check", str(data)])
    assert result.exit_code == 0 and "warning blank (1)" in result.stdout


def test_the_report_fits_a_narrow_terminal(data, capsys):
    """Names of commands are not torn at their hyphens, and the log has a line a kind."""
    shutil.copy(data / "train" / "green" / "photo_000.jpg", data / "val" / "green" / "a.jpg")
    shutil.copy(data / "train" / "green" / "photo_002.jpg", data / "val" / "green" / "b.jpg")
    examination = examine(data)
    print_report(examination, width=60)
    table = capsys.readouterr().out.split("\n\n")[1]
    assert max(map(len, table.splitlines())) <= 60 and "--quarantine." in table
    (line,) = brief(examination.findings)
    assert line.startswith(f"leakage: {data / 'train' / 'green' / 'photo_000.jpg'}: 2 copies")
    assert "1 more of this kind." in line


def test_usage(tmp_path, photo_folder):
    run = CliRunner().invoke
    assert run(cli, ["check"]).exit_code == 2
    assert run(cli, ["check", str(tmp_path / "absent")]).exit_code == 2
    unknown = run(cli, ["check", str(photo_folder), "--quarantine", "x", "--include", "dup"])
    assert unknown.exit_code == 2 and "duplicate, " in unknown.stderr
    assert run(cli, ["check", str(photo_folder), "--include", "duplicate"]).exit_code == 2
    assert run(cli, ["check", "--undo", "x", "--quarantine", "y"]).exit_code == 2


def test_every_kind_has_a_remedy():
    for kind in KINDS.values():
        assert kind.remedy.endswith(".") and kind.meaning and not kind.meaning.endswith(".")


# single photos ----------------------------------------------------------------------------------


def remarks(path):
    facts = inspect(str(path))
    assert not facts.problem
    return {kind for kind, _ in facts.remarks}


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((32, 32), set()),
        ((31, 40), {"tiny"}),
        ((128, 32), set()),
        ((32, 129), {"extreme-shape"}),
        ((8, 200), {"tiny", "extreme-shape"}),
    ],
)
def test_sizes_and_shapes(size, expected, tmp_path):
    picture(*size).save(tmp_path / "photo.png")
    assert remarks(tmp_path / "photo.png") == expected


def test_more_pixels_than_a_camera_makes(tmp_path, monkeypatch):
    """Pillow's limit makes a remark; more than are decoded are an error, as in ``fit``."""
    path = tmp_path / "photo.png"
    picture(100, 100).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 9_999)
    assert remarks(path) == {"huge"}
    monkeypatch.setenv("EDGE_CLASSIFY_MAX_MEGAPIXELS", "0.009999")
    assert "more than the 0.009999 megapixels" in inspect(str(path)).problem


def test_exif_orientation_and_a_second_picture_of_a_camera_are_fine(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    picture().save(tmp_path / "turned.jpg", exif=exif)
    assert remarks(tmp_path / "turned.jpg") == set()
    picture().save(tmp_path / "camera.jpg", "MPO", save_all=True, append_images=[picture(seed=1)])
    assert remarks(tmp_path / "camera.jpg") == set()


def test_files_that_are_no_files(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    assert inspect(str(tmp_path / "pipe.jpg")).problem == "not a regular file."
    (tmp_path / "link.jpg").symlink_to("nowhere.jpg")
    assert inspect(str(tmp_path / "link.jpg")).problem == "a link to nothing."
    assert "No such file" in inspect(str(tmp_path / "gone.jpg")).problem


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"", "nothing (0 bytes)"),
        (b"\0" * 100, "zero bytes only"),
        (b"\n <!DOCTYPE HTML>", "an HTML page"),
        (b"%PDF-1.4", "a PDF document"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", None),
        (b"\0\0\0\x18ftypisom\0\0\0\0", "an MP4 or QuickTime video"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        (b"see the other folder\n", "text"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", None),
    ],
)
def test_what_a_file_holds(head, expected):
    found = describe_content(head)
    assert found == expected or (expected and found.startswith(expected + ";"))


def test_photo_formats_by_content(tmp_path):
    for name in ("JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP"):
        picture().save(tmp_path / "photo", name)
        assert photo_format((tmp_path / "photo").read_bytes()[:64]) == name
    assert photo_format(b"BMW is a maker of cars, and of motorcycles") is None


# places and names -------------------------------------------------------------------------------


def test_files_beside_the_photos(data):
    green = data / "train" / "green"
    picture().save(green / "phone.jfif", "JPEG")
    (green / "phone.hif").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    picture().save(green / "without extension", "PNG")
    (green / "notes.txt").write_text("not a photo")
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._photo_000.jpg"):
        (green / name).write_bytes(b"system")
    (green / "__MACOSX").mkdir()
    (green / "__MACOSX" / "photo.jpg").write_bytes(b"not looked at")
    (data / "lost.jpg").write_bytes(b"")
    (data / "exports").mkdir()
    os.symlink(data / "val" / "green", green / "more")
    (green / "deeper").mkdir()
    picture(seed=5).save(green / "deeper" / "photo.jpg")
    found = {
        (finding.kind, os.path.relpath(path, data))
        for finding in read_layout(data).findings
        for path in finding.paths
    }
    assert found == {
        ("unsearched-photo", "train/green/phone.jfif"),
        ("unsearched-photo", "train/green/phone.hif"),
        ("unsearched-photo", "train/green/without extension"),
        ("other-file", "train/green/notes.txt"),
        ("system-file", "train/green/.DS_Store"),
        ("system-file", "train/green/Thumbs.db"),
        ("system-file", "train/green/desktop.ini"),
        ("system-file", "train/green/._photo_000.jpg"),
        ("system-file", "train/green/__MACOSX"),
        ("stray-photo", "lost.jpg"),
        ("other-folder", "exports"),
        ("linked-folder", "train/green/more"),
    }
    entries = [entry.path for entry in read_layout(data).entries]
    searched = [find_photos(data / part / name) for part in ("train", "val", "test")
                for name in ("blue dots", "green", "red stripes")]  # fmt: skip
    assert entries == [path for photos in searched for path in photos], "as fit lists them"


@pytest.mark.parametrize(
    ("change", "kind", "place"),
    [
        (lambda d: shutil.rmtree(d / "val"), "layout", "."),
        (lambda d: (d / "val").rename(d / "valid"), "layout", "valid"),
        (lambda d: (d / "val" / "green").rename(d / "val" / "Green"), "unknown-class", "val/Green"),
        (lambda d: shutil.rmtree(d / "train" / "green"), "unknown-class", "test/green"),
        (lambda d: (d / "train" / "new").mkdir(), "no-photo", "train/new"),
        (lambda d: [p.unlink() for p in (d / "test").rglob("*.*")], "layout", "test"),
        (lambda d: (d / "train" / "a\nb").mkdir(), "class-name", "train/a\nb"),
    ],
    ids=["no val", "valid", "case", "no class", "empty class", "empty part", "control character"],
)
def test_what_fit_refuses_is_an_error(data, change, kind, place):
    from edge_runtime.errors import DatasetError

    change(data)
    errors = [found for found in examine(data).findings if found.severity == "error"]
    assert (kind, str(data / place)) in {
        (f.kind, os.path.normpath(p)) for f in errors for p in f.paths
    }
    with pytest.raises(DatasetError):
        index_dataset(data)


def test_parts_that_are_taken_for_classes(data):
    """A photo in train/ and a folder beside it make train, val and test classes: a trap."""
    picture().save(data / "train" / "lost.jpg")
    (data / "exports").mkdir()
    for seed in range(3):
        picture(seed=seed).save(data / "exports" / f"{seed}.jpg")
    assert set(index_dataset(data).class_names) == {"exports", "test", "train", "val"}
    (finding,) = [found for found in examine(data).findings if found.kind == "layout"]
    assert "'exports', 'test', 'train', 'val' are taken for classes" in finding.message


def test_a_class_of_two_cannot_be_split_in_three(photo_folder):
    from edge_runtime.errors import DatasetError

    for photo in list((photo_folder / "green").iterdir())[2:]:
        photo.unlink()
    assert kinds_of(examine(photo_folder), photo_folder / "green") == {"too-few-photos"}
    with pytest.raises(DatasetError, match="'green' has 2 photos"):
        index_dataset(photo_folder)


def test_one_class_and_no_class(tmp_path, make_photos):
    make_photos(tmp_path / "one", ("only",))
    assert kinds_of(examine(tmp_path / "one")) == {"layout"}
    (tmp_path / "empty").mkdir()
    assert kinds_of(examine(tmp_path / "empty")) == {"layout"}
    with pytest.raises(UsageError, match="no such folder"):
        examine(tmp_path / "absent")


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS refuses names that are not UTF-8")
def test_names_that_are_not_utf8(data):
    name = os.fsdecode(b"caf\xe9.jpg")
    (data / "train" / "green" / name).write_bytes(b"text")
    result = CliRunner().invoke(cli, ["check", str(data), "--json"])
    (finding,) = json.loads(result.stdout)["findings"]
    assert finding["paths"] == [os.path.join(data, "train", "green", name)]
    result = CliRunner().invoke(cli, ["check", str(data)])
    assert result.exit_code == 3 and result.exception.code == 3


def test_more_than_five_percent_unreadable(data):
    """Two of 30 are 6.7 %; fit stops at more than 5."""
    for number in (0, 2):
        (data / "val" / "green" / f"photo_00{number}.jpg").write_bytes(b"text")
    findings = examine(data).findings
    assert [found.message for found in findings if found.kind == "too-many-unreadable"] == [
        "2 of 30 photos cannot be read, 6.7%; fit stops above 5%."
    ]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("cat", "dog"), None),
        (("Café", unicodedata.normalize("NFD", "Café")), "same-class-name"),
        (("red apple", "red  apple"), "same-class-name"),
        (("red apple", "red apple "), "same-class-name"),
        (("Cat", "cat"), "similar-class-name"),
        (("red_apple", "Red Apple"), "similar-class-name"),
        (("red-apple", "red apple"), "similar-class-name"),
        (("ﬁsh", "fish"), "similar-class-name"),
        (("Straße", "STRASSE"), "similar-class-name"),
        (("1-2", "12"), None),
        (("c", "c++"), None),
    ],
)
def test_class_names(names, expected):
    assert [found.kind for found in name_findings(names)] == ([expected] if expected else [])


def test_balance():
    """Said above 5 to 1, below 10 photos, and for a part that lacks a class."""
    assert balance_findings({"": {"a": 50, "b": 10}}) == []
    (imbalance,) = balance_findings({"": {"a": 51, "b": 10}})
    assert imbalance.kind == "imbalance" and imbalance.details["ratio"] == 5.1
    (few,) = balance_findings({"": {"a": 9, "b": 10}})
    assert few.kind == "few-photos" and few.details == {"class": "a", "photos": 9}
    counts = {"train": {"a": 10, "b": 10}, "val": {"a": 1}, "test": {"a": 1, "b": 1}}
    (missing,) = balance_findings(counts)
    assert missing.kind == "missing-class" and missing.details == {"part": "val", "classes": ["b"]}


def test_quick_findings_open_no_photo(data, monkeypatch):
    shutil.rmtree(data / "test" / "green")
    for photo in list((data / "train" / "green").iterdir())[1:]:
        photo.unlink()
    (data / "train" / "blue dots" / "phone.hif").write_bytes(b"\0\0\0\x18ftypheic")
    dataset = index_dataset(data)

    def refuse(*_):
        raise AssertionError("a photo was opened")

    monkeypatch.setattr(Image, "open", refuse)
    assert [found.kind for found in quick_findings(dataset)] == [
        "imbalance",
        "few-photos",
        "missing-class",
    ]
    assert next(found.kind for found in quick_findings(dataset, data)) == "unsearched-photo"


def test_what_listing_the_photos_said_is_not_repeated(data, caplog):
    """A line each for what `fit` says before it trains."""
    shutil.rmtree(data / "test" / "green")
    photo = data / "train" / "green" / "photo_000.jpg"
    shutil.copy(photo, data / "train" / "stray.jpg")
    warn_of_findings(index_dataset(data), data)
    lines = [record.getMessage() for record in caplog.records]
    assert sum("no photo of 'green'" in line for line in lines) == 1
    assert sum("beside the class folders" in line for line in lines) == 1
    caplog.clear()
    shutil.copy(photo, data / "stray.jpg")
    warn_of_findings(index_dataset(data), f"{data}/")
    assert f"stray-photo: {data}/stray.jpg: lies beside" in caplog.text, "which only this says"
    caplog.clear()
    warn_of_findings(index_dataset(data / "train"), data / "train")
    assert caplog.text.count("lie beside the class folders") == 1
    assert "stray-photo" not in caplog.text


# bounded memory ---------------------------------------------------------------------------------


def test_threads_read_only_a_little_ahead():
    """Of a thousand items no more than a few are taken before the first result is used."""
    taken = []

    def items():
        for number in range(1000):
            taken.append(number)
            yield number

    results = map_ahead(lambda number: number * number, items(), workers=2)
    assert next(results) == 0
    assert len(taken) <= 8
    assert list(results) == [number * number for number in range(1, 1000)]


@pytest.mark.shared
def test_real_photos_have_no_error():
    """The one warning is a pair that a person would call the same photo, too."""
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is absent")
    examination = examine(SHARED / "data" / "groceries")
    assert [found.kind for found in examination.findings] == ["near-duplicate", "other-file"]
    assert [os.path.basename(path) for path in examination.findings[0].paths] == [
        "Floury-Potato_006.jpg",
        "Floury-Potato_016.jpg",
    ]
