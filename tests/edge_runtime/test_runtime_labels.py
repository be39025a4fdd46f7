"""Files of labels as people have them, and lists that do not fit the model."""

from __future__ import annotations

import pytest

from edge_runtime.description import ModelInfo, PreprocessSpec
from edge_runtime.errors import ModelError, UsageError
from edge_runtime.foreign.labels import fit_labels, parse_labels

THOUSAND = (
    "tench, Tinca tinca",
    *(f"class {i}" for i in range(1, 999)),
    "toilet tissue, toilet paper, bathroom tissue",
)


@pytest.mark.parametrize(
    ("content", "labels"),
    [
        (b"cat\ndog\n", ("cat", "dog")),
        (b"cat\ndog", ("cat", "dog")),
        (b"\xef\xbb\xbfcat\r\ndog\r\n", ("cat", "dog")),
        (b"cat\rdog\r", ("cat", "dog")),
        (b"cat\n\ndog\n\n\n", ("cat", "", "dog")),
        (b"  cat \n\tdog\n", ("cat", "dog")),
        (b"crane\nheron\ncrane\n", ("crane", "heron", "crane")),
        ("Käse\nline\u2028inside\n".encode(), ("Käse", "line\u2028inside")),
        (b"1  dog\n0  cat\n", ("cat", "dog")),
        (b"0: cat\n1: dog, hound\n", ("cat", "dog, hound")),
        # Not indices: the names begin so.
        (b"7 up\n3 musketeers\n", ("7 up", "3 musketeers")),
        (b"0\n1\n2\n", ("0", "1", "2")),
    ],
)
def test_text(content: bytes, labels: tuple[str, ...]) -> None:
    assert parse_labels(content, "labels.txt") == labels


def test_json() -> None:
    for text in (b'["a", "b"]', b'{"1": "b", "0": "a"}', b'{"0": ["n01", "a"], "1": ["n02", "b"]}'):
        assert parse_labels(text, "labels.json") == ("a", "b")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("l.txt", b"", "no labels"), ("l.txt", b"\n \r\n", "no labels"),
        ("l.txt", b"caf\xe9\n", "UTF-8"), ("l.txt", b"TFL3\0\0", "binary"),
        ("l.json", b"[]", "no labels"), ("l.json", b'{"1": "a"}', "not 0 to 0"),
        ("l.json", b'{"a": "b"}', "Expected a list"), ("l.json", b"[1]", "Expected a list"),
        ("l.json", b"[" * 9999, "Expected a list"),
    ],
)  # fmt: skip
def test_no_labels(name: str, content: bytes, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        parse_labels(content, name)


@pytest.mark.parametrize(
    ("labels", "classes", "names", "note"),
    [
        (("a", "b"), 2, ("a", "b"), ""),
        (("crane", "crane"), 2, ("crane", "crane"), ""),
        # A blank line is a class where the count says so, else nothing.
        (("a", "", "b"), 3, ("a", "class 1", "b"), "1 without a name"),
        (("a", "", "b"), 2, ("a", "b"), "1 blank lines left out"),
        (("background", "a", "b"), 3, ("background", "a", "b"), ""),
        (("Background", "a", "b"), 2, ("a", "b"), "taken away"),
        (THOUSAND, 1001, ("background", *THOUSAND), "put in front"),
        (("background", *THOUSAND), 1000, THOUSAND, "taken away"),
        (("background", *THOUSAND), 1001, ("background", *THOUSAND), ""),
    ],
)
def test_fit(labels: tuple, classes: int, names: tuple, note: str) -> None:
    found, said = fit_labels(labels, classes, "m")
    assert found == names and note in said and bool(said) == bool(note)


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (("a", "b"), 3),  # nothing says that the third is a background
        (("a", "b", "c"), 2),
        (("a", "background"), 1),  # not in front
        (("background", "a", "b", "c"), 2),  # two too many
        (tuple(f"c{i}" for i in range(1000)), 1001),  # not ImageNet's
        (THOUSAND, 1002),
        (THOUSAND[::-1], 1001),
    ],
)
def test_labels_that_do_not_fit(labels: tuple, classes: int) -> None:
    with pytest.raises(ModelError, match=f"m: {len(labels)} labels.* {classes} scores"):
        fit_labels(labels, classes, "m")


def test_name_of_two_classes() -> None:
    """ImageNet has a crane that flies and one that lifts."""
    info = ModelInfo(("crane", "heron", "crane"), PreprocessSpec(4, 4))
    with pytest.raises(UsageError, match="'#0' or '#2'"):
        info.class_index("crane")
    assert info.class_index("#2") == 2 and info.class_index("heron") == 1
    for wrong in ("#3", "#", "#-1", "#x", "stork"):
        with pytest.raises(UsageError, match="No class"):
            info.class_index(wrong)


def test_unknown_name_among_a_thousand() -> None:
    info = ModelInfo(THOUSAND, PreprocessSpec(4, 4))
    with pytest.raises(UsageError, match=r"tench, Tinca tinca.* and 99[0-9] more") as caught:
        info.class_index("tench")
    assert len(str(caught.value)) < 400
