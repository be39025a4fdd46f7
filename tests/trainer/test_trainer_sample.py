"""The embedded data set."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from PIL import Image

from edge_runtime.errors import OutputExists, UsageError
from trainer.data.dataset import index_dataset
from trainer.data.digits import write_digits


def digest(folder):
    found = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            found.update(str(file.relative_to(folder)).encode() + file.read_bytes())
    return found.hexdigest()


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample") / "digits"
    return folder, write_digits(folder)


def test_all_digits_are_there_in_three_parts(digits):
    folder, counts = digits
    assert set(counts) == {"train", "val", "test"}
    assert sum(sum(classes.values()) for classes in counts.values()) == 1797
    dataset = index_dataset(folder)
    assert dataset.class_names == tuple("0123456789")
    # 174 to 183 photos a class at 0.8, 0.1, 0.1: within one photo a class of the exact share.
    sizes = {part: len(samples) for part, samples in dataset.parts.items()}
    assert abs(sizes["train"] - 1437.6) < 10
    assert abs(sizes["val"] - 179.7) < 10
    assert abs(sizes["test"] - 179.7) < 10
    assert "Alpaydin" in (folder / "SOURCE.txt").read_text()


def test_pictures_are_those_of_scikit_learn(digits):
    """Of all 1,797 originals, the one with a picture's number is the nearest to it."""
    from sklearn.datasets import load_digits

    data = load_digits()
    originals = data.images * (255 / 16)
    files = {int(file.stem): file for file in digits[0].rglob("*.png")}
    assert sorted(files) == list(range(1797))
    for number in range(0, 1797, 100):
        with Image.open(files[number]) as image:
            assert (image.size, image.mode) == ((64, 64), "L")
            small = np.asarray(image.resize((8, 8), Image.Resampling.BOX), np.float64)
        assert files[number].parent.name == str(data.target[number])
        assert np.abs(small - originals).mean(axis=(1, 2)).argmin() == number


def test_the_same_bytes_each_time(digits, tmp_path):
    write_digits(tmp_path / "again")
    assert digest(tmp_path / "again") == digest(digits[0])


def test_options(tmp_path):
    counts = write_digits(tmp_path / "out", ratios=(0.5, 0.5, 0))
    assert set(counts) == {"train", "val"}
    with pytest.raises(OutputExists):
        write_digits(tmp_path / "out")
    with pytest.raises(UsageError):
        write_digits(tmp_path / "other", ratios=(0.5, 0.2, 0.2))
    assert not (tmp_path / "other").exists()
