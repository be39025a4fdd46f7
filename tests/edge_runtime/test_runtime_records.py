"""Records are dataclasses in every use, and cost less to define."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from color_model import paint

from edge_runtime import records
from edge_runtime.description import ModelInfo, OutputSpec, PreprocessSpec
from edge_runtime.engine import Engine
from edge_runtime.prediction import Prediction


@records.dataclass(frozen=True)
class Point:
    """A record with every kind of field."""

    x: int
    y: int = 2
    tags: Mapping[str, int] = records.field(default_factory=dict)

    ORIGIN = (0, 0)  # no annotation: no field

    def __post_init__(self) -> None:
        if self.x < 0:
            raise ValueError("negative")


@dataclasses.dataclass(frozen=True)
class Twin:
    """The same as the standard library makes it."""

    x: int
    y: int = 2
    tags: Mapping[str, int] = dataclasses.field(default_factory=dict)


def test_made_compared_and_shown_like_a_dataclass() -> None:
    assert Point(1) == Point(1, 2, {}) != Point(1, 3)
    assert Point(1) != Twin(1)
    assert repr(Point(1, tags={"a": 1})) == repr(Twin(1, tags={"a": 1})).replace("Twin", "Point")
    assert Point(1).tags is not Point(1).tags
    assert not hasattr(Point, "tags")
    assert Point.y == 2
    assert hash(Engine(2)) == hash(Engine(2))
    with pytest.raises(TypeError, match="unhashable"):
        hash(Point(1))
    with pytest.raises(ValueError, match="negative"):
        Point(-1)


@pytest.mark.parametrize("arguments", [(), (1, 2, {}, 4)])
def test_wrong_arguments(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError, match="argument"):
        Point(*arguments)
    with pytest.raises(TypeError, match="unexpected keyword"):
        Point(1, z=3)  # type: ignore[call-arg]


def test_frozen() -> None:
    point = Point(1)
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'x'"):
        point.x = 3  # type: ignore[misc]
    with pytest.raises(AttributeError, match="cannot delete field 'x'"):
        del point.x


def test_what_the_standard_library_asks_for() -> None:
    assert dataclasses.is_dataclass(Point)
    assert dataclasses.is_dataclass(Point(1))
    assert [f.name for f in dataclasses.fields(Point)] == ["x", "y", "tags"]
    assert dataclasses.fields(Point)[2].default_factory is dict
    assert dataclasses.replace(Point(1), y=5) == records.replace(Point(1), y=5) == Point(1, 5)
    assert dataclasses.asdict(Point(1)) == {"x": 1, "y": 2, "tags": {}}
    assert dataclasses.astuple(Point(1)) == (1, 2, {})
    with pytest.raises(TypeError, match="unexpected keyword"):
        records.replace(Point(1), z=1)
    assert str(inspect.signature(Point)) == str(inspect.signature(Twin)).replace(
        "tags: 'Mapping[str, int]' = <factory>", f"tags: 'Mapping[str, int]' = {MADE}"
    )


MADE = inspect.signature(Point).parameters["tags"].default


def test_records_inside_of_records() -> None:
    info = ModelInfo(("a",), PreprocessSpec(2, 3))
    assert dataclasses.asdict(info)["output"] == dataclasses.asdict(OutputSpec())
    assert dataclasses.replace(info, class_names=("b",)).preprocess is info.preprocess


def test_copied_pickled_and_matched() -> None:
    point = Point(1, tags={"a": 1})
    assert pickle.loads(pickle.dumps(point)) == copy.deepcopy(point) == copy.copy(point) == point
    match point:
        case Point(x, y):
            assert (x, y) == (1, 2)
        case _:
            pytest.fail("did not match")


@pytest.mark.skipif(sys.version_info < (3, 13), reason="copy.replace is new in 3.13")
def test_copy_replace() -> None:
    assert copy.replace(Point(1), y=3) == Point(1, 3)  # type: ignore[attr-defined]


def test_a_dataclass_may_be_made_of_one() -> None:
    @dataclasses.dataclass(frozen=True)
    class More(Prediction):
        place: str = ""

    assert More("a.jpg", place="here").place == "here"
    assert [f.name for f in dataclasses.fields(More)][-2:] == ["scores", "place"]


def test_only_frozen_ones() -> None:
    with pytest.raises(TypeError, match="frozen"):
        records.dataclass(frozen=False)  # type: ignore[call-overload]


def test_a_start_needs_neither_dataclasses_nor_pathlib(bundle: Path, photo: Path) -> None:
    """Each costs more than a millisecond on x86; none may come back by an import at the top."""
    code = (
        "import sys, numpy, PIL.Image, PIL.ImageOps, PIL.JpegImagePlugin, click\n"
        "import ai_edge_litert.interpreter\n"
        "dropped = [sys.modules.pop(name, None) for name in ('dataclasses', 'pathlib')]\n"
        "from edge_runtime.cli import cli\n"
        f"arguments = ['image', '--model', {str(bundle)!r}, {str(photo)!r}]\n"
        "cli.main(arguments, standalone_mode=False)\n"
        "print([name for name in ('dataclasses', 'pathlib') if name in sys.modules])"
    )
    subprocess.run([sys.executable, "-c", code], capture_output=True)  # remembers the checksum
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]", done.stdout


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A small photo."""
    return paint(tmp_path / "photo.jpg", (200, 30, 30))
