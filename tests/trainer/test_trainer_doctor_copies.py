"""Equal files and photos that look the same: what is found, and what a training leaves out."""

from __future__ import annotations

import io
import shutil
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from edge_runtime.errors import DatasetError, MissingComponent
from edge_runtime.files import sha256_file
from trainer.data.dataset import Sample, index_dataset
from trainer.doctor import examine, resolve_duplicates
from trainer.doctor.duplicates import equal_groups, judge_copies
from trainer.doctor.near import near_groups, perceptual_hash


def photo(seed, size=(160, 120)):
    """Clouds of colour at several scales: smooth like a photo, each seed different."""
    random = np.random.default_rng(seed)
    image = np.zeros((size[1], size[0], 3))
    for cells in (3, 7, 15, 40):
        noise = Image.fromarray(random.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        image += np.asarray(noise.resize(size, Image.Resampling.BICUBIC), float)
    return Image.fromarray((image / 4).astype(np.uint8))


# which copies go --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("places", "kind", "leaving"),
    [
        ([("train", 0), ("train", 0)], "duplicate", []),
        ([("", "a"), ("", "a"), ("", "a")], "duplicate", []),
        ([("train", 0), ("val", 0)], "leakage", [0]),
        ([("val", 0), ("test", 0)], "leakage", [0]),
        ([("train", 0), ("train", 0), ("val", 0), ("test", 0), ("test", 0)], "leakage", [0, 1, 2]),
        ([("train", 0), ("train", 1)], "contradiction", [0, 1]),
        ([("train", 0), ("val", 0), ("test", 1)], "contradiction", [0, 1, 2]),
    ],
)
def test_the_rule(places, kind, leaving):
    assert judge_copies(places) == (kind, leaving)


def test_equal_groups():
    assert equal_groups([b"", b"a", b"b", b"a", b"", b"a", b"b", b"c"]) == [[1, 3, 5], [2, 6]]


def sample(path, label, content):
    return Sample(path, label, content)


def test_resolve_duplicates():
    parts = {
        "train": [
            sample("train/a/1", 0, "x"),
            sample("train/a/2", 0, "x"),
            sample("train/a/3", 0, "leak"),
            sample("train/a/4", 0, "both"),
            sample("train/b/1", 1, "both"),
            sample("train/b/2", 1, "y"),
        ],
        "val": [
            sample("val/a/1", 0, "leak"),
            sample("val/a/2", 0, "v"),
            sample("val/b/1", 1, "late"),
            sample("val/b/2", 1, "w"),
        ],
        "test": [sample("test/b/1", 1, "late"), sample("test/b/2", 1, "")],
    }
    keep, left_out = resolve_duplicates(parts)
    assert keep == {"train": [0, 1, 5], "val": [0, 1, 3], "test": [0, 1]}
    assert [(one.path, one.part, one.kind, one.copies) for one in left_out] == [
        ("train/a/3", "train", "leakage", ("val/a/1",)),
        ("train/a/4", "train", "contradiction", ("train/b/1",)),
        ("train/b/1", "train", "contradiction", ("train/a/4",)),
        ("val/b/1", "val", "leakage", ("test/b/1",)),
    ]
    assert left_out[0].reason == "The same file is used to measure: val/a/1."
    assert left_out[1].reason == "The same file lies in another class: train/b/1."


def test_the_reason_names_a_copy_in_another_class():
    parts = {
        "train": [
            sample("train/a/1", 0, "x"),
            sample("train/b/1", 1, "x"),
            sample("train/a/2", 0, "x"),
            sample("train/a/3", 0, "kept"),
            sample("train/b/3", 1, "kept, too"),
        ]
    }
    _, left_out = resolve_duplicates(parts)
    assert [one.reason.split(": ")[1] for one in left_out] == [
        "train/b/1.",
        "train/a/2.",
        "train/b/1.",
    ]


def test_no_class_is_lost_silently():
    parts = {
        "train": [sample("train/a/1", 0, "x"), sample("train/b/1", 1, "y")],
        "val": [sample("val/a/1", 0, "x")],
    }
    with pytest.raises(DatasetError, match=r"train/a/1: every photo of its class"):
        resolve_duplicates(parts)


def test_no_part_is_emptied_silently():
    """`cp -r val test` leaves val without a photo; a test part of contradictions goes, too."""
    train = [sample("train/a/1", 0, "x"), sample("train/b/1", 1, "y")]
    val = [sample("val/a/1", 0, "z"), sample("val/b/1", 1, "w")]
    copies = [replace(one, path=one.path.replace("val", "test")) for one in val]
    with pytest.raises(DatasetError, match=r"^val: each of its 2 photos .* in test or in another"):
        resolve_duplicates({"train": train, "val": val, "test": copies})
    wrong = [sample("test/a/1", 0, "v"), sample("test/b/1", 1, "v")]
    with pytest.raises(
        DatasetError, match=r"^test: each of its 2 .* in another .*edge-train split"
    ):
        resolve_duplicates({"train": train, "val": val, "test": wrong})


def test_empty_parts():
    one, two = sample("a", 0, "x"), sample("b", 1, "y")
    assert resolve_duplicates({"train": [one, two], "val": [], "test": []}) == (
        {"train": [0, 1], "val": [], "test": []},
        [],
    )


# on disk ----------------------------------------------------------------------------------------


def findings(folder):
    return {
        (found.kind, tuple(str(folder / path) for path in found.paths)): found
        for found in examine(folder).findings
        if found.kind != "few-photos"
    }


def test_copies_on_disk(split_folder):
    train, val, test = (split_folder / part for part in ("train", "val", "test"))
    shutil.copy(train / "green" / "photo_000.jpg", train / "green" / "again.jpg")
    shutil.copy(train / "green" / "photo_001.png", val / "green" / "again.png")
    shutil.copy(train / "green" / "photo_002.jpg", test / "blue dots" / "wrong.jpg")
    found = findings(split_folder)
    assert {kind for kind, _ in found} == {"duplicate", "leakage", "contradiction"}
    by_kind = {kind: one for (kind, _), one in found.items()}
    assert by_kind["leakage"].paths == (
        str(train / "green" / "photo_001.png"),
        str(val / "green" / "again.png"),
    )
    assert by_kind["leakage"].movable == (str(train / "green" / "photo_001.png"),)
    assert by_kind["leakage"].message == "2 copies of one file, in train and val."
    assert by_kind["contradiction"].movable == by_kind["contradiction"].paths
    assert (
        "in the classes 'blue dots', 'green', in train and test" in by_kind["contradiction"].message
    )
    assert by_kind["duplicate"].movable == (str(train / "green" / "photo_000.jpg"),)
    # What check finds is what fit leaves out.
    parts = {
        part: [Sample(s.path, s.label, sha256_file(s.path)) for s in samples]
        for part, samples in index_dataset(split_folder).parts.items()
    }
    _, left_out = resolve_duplicates(parts)
    moved = {p for one in found.values() if one.severity == "error" for p in one.movable}
    assert {one.path for one in left_out} == moved


def test_broken_photos_are_no_copies_of_each_other(split_folder):
    for name in ("green", "blue dots"):
        (split_folder / "train" / name / "photo_000.jpg").write_bytes(b"")
    assert {kind for kind, _ in findings(split_folder)} == {"unreadable", "too-many-unreadable"}


def test_photos_that_look_the_same(split_folder):
    train, val, test = (split_folder / part for part in ("train", "val", "test"))
    for seed, (first, second) in enumerate(
        (
            (train / "green" / "one.jpg", train / "green" / "two.png"),
            (train / "red stripes" / "one.jpg", val / "red stripes" / "two.png"),
            (val / "green" / "three.jpg", test / "blue dots" / "four.png"),
        )
    ):
        photo(seed).save(first, quality=90)
        photo(seed).resize((90, 70), Image.Resampling.BICUBIC).save(second)
    found = findings(split_folder)
    assert {kind for kind, _ in found} == {"near-duplicate", "near-leakage", "near-contradiction"}
    assert all(one.severity == "warning" and len(one.paths) == 2 for one in found.values())


# the hash ---------------------------------------------------------------------------------------


def saved(image, fmt, **options):
    stream = io.BytesIO()
    image.save(stream, fmt, **options)
    return Image.open(stream).convert("RGB")


CHANGES = {
    "JPEG 20": lambda image: saved(image, "JPEG", quality=20),
    "WebP": lambda image: saved(image, "WEBP", quality=50),
    "half": lambda image: image.resize((80, 64), Image.Resampling.BICUBIC),
    "larger": lambda image: image.resize((300, 230), Image.Resampling.BICUBIC),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.1),
    "flatter": lambda image: ImageEnhance.Contrast(image).enhance(0.8),
    "paler": lambda image: ImageEnhance.Color(image).enhance(0.5),
}


def hashes(images):
    return np.array([np.frombuffer(perceptual_hash(image), np.uint8) for image in images])


@pytest.mark.parametrize("change", CHANGES)
def test_changed_copies_are_found_and_others_are_not(change):
    """Thirty pairs, and no link between different photos."""
    images = [photo(seed) for seed in range(30)]
    groups = near_groups(hashes(images + [CHANGES[change](image) for image in images]))
    assert groups == [[seed, seed + 30] for seed in range(30)]


def test_no_hash_under_64_pixels():
    assert perceptual_hash(photo(0, (64, 64))) is not None
    assert perceptual_hash(photo(0, (63, 200))) is None


def flipped(base, count, random):
    """A hash that differs in exactly so many bits."""
    bits = np.unpackbits(base)
    bits[random.choice(256, count, replace=False)] ^= 1
    return np.packbits(bits)


def test_the_search_finds_what_comparing_all_pairs_finds(monkeypatch):
    """Pairs at the limit and just above it, chains, equal hashes; with NumPy 1, too."""
    from scipy.sparse.csgraph import connected_components

    random = np.random.default_rng(3)
    base = random.integers(0, 256, (400, 32), dtype=np.uint8)
    some = [flipped(base[n], 24, random) for n in range(100)]
    more = [flipped(base[n], 25, random) for n in range(100, 200)]
    chain = [base[200]]
    for _ in range(20):
        chain.append(flipped(chain[-1], 20, random))
    array = np.array([*base, *some, *more, *chain, *base[:5]])
    bits = np.unpackbits(array, axis=1).astype(np.int32)
    distances = (bits[:, None] != bits[None]).sum(-1)
    labels = connected_components(distances <= 24, directed=False)[1]
    expected = sorted(
        np.flatnonzero(labels == label).tolist()
        for label in set(labels)
        if (labels == label).sum() > 1
    )
    assert near_groups(array) == expected and len(expected) == 101
    monkeypatch.delattr(np, "bitwise_count", raising=False)
    assert near_groups(array) == expected


def test_thousands_of_one_scene_are_one_group():
    """A camera that does not move: every photo like every other, none equal."""
    random = np.random.default_rng(0)
    base = random.integers(0, 256, 32, dtype=np.uint8)
    array = np.array([flipped(base, 6, random) for _ in range(3000)])
    assert [len(group) for group in near_groups(array)] == [3000]
    assert near_groups(array[:1]) == near_groups(array[:0]) == []


def test_without_imagehash_the_extra_is_named(monkeypatch, split_folder):
    monkeypatch.setitem(sys.modules, "imagehash", None)
    with pytest.raises(MissingComponent, match=r"edge-classify\[train\]"):
        examine(split_folder)
