"""Generated photo sets that every package's tests may use.

``make_photos(folder, classes, count)`` writes a folder of class folders, each photo different,
every class a colour and a pattern that a network tells apart at 32 pixels after a few steps.
``photo_folder`` is such a folder, ``split_folder`` has train/, val/ and test/ of them.

With ``-n 2 --dist loadfile`` (``make test``) the tests of a file stay in one process, and those of
the exporter in one, since they share the export that costs the most.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

CLASSES = ("blue dots", "green", "red stripes")

_COLORS = {"blue": (40, 60, 210), "green": (50, 190, 60), "red": (210, 50, 40)}

# What takes long comes first, so that the processes end at about the same time.
_LONG_FIRST = ("exporter/", "test_end_to_end.py", "trainer/")


def pytest_configure() -> None:
    """Hear Ctrl-C, and let children hear it: a shell's background jobs are deaf to it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In the processes of pytest-xdist only; where there is one, the order stays."""
    if not hasattr(config, "workerinput"):
        return

    def rank(item: pytest.Item) -> int:
        place = item.path.relative_to(Path(__file__).parent).as_posix()
        return next((n for n, long in enumerate(_LONG_FIRST) if place.startswith(long)), 99)

    items.sort(key=rank)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """``--dist loadfile``, with the exporter's files as one."""
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "exporter" if "exporter/test_" in nodeid else super()._split_scope(nodeid)

    config.option.loadscopereorder = False  # by number of tests, which says nothing of their time
    return Scheduling(config, log)


def _pixels(name: str, random: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """uint8 (height, width, 3): the class's colour and pattern, place, shade and noise at random."""
    width, height = size
    color, _, pattern = name.partition(" ")
    base = np.asarray(_COLORS.get(color) or random.integers(40, 216, 3), np.float64)
    image = base * random.uniform(0.8, 1.1) + random.normal(0, 8, (height, width, 3))
    y, x = np.mgrid[:height, :width]
    shift = random.uniform(0, 10, 2)
    if pattern == "stripes":
        image[(x + shift[0]) % 12 < 6] *= 0.4
    elif pattern == "dots":
        image[((x + shift[0]) % 14 - 7) ** 2 + ((y + shift[1]) % 14 - 7) ** 2 < 16] += 90
    return np.clip(image, 0, 255).astype(np.uint8)


def _make_photos(
    folder: Path, classes: Sequence[str] = CLASSES, count: int = 10, seed: int = 0
) -> Path:
    """Write ``count`` photos a class, JPEG and PNG in turn, of sizes from 40 to 80 pixels."""
    random = np.random.default_rng(seed)
    for name in classes:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            width, height = (int(n) for n in random.integers(40, 81, 2))
            image = Image.fromarray(_pixels(name, random, (width, height)))
            image.save(folder / name / f"photo_{number:03d}.{('jpg', 'png')[number % 2]}")
    return folder


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Decoded photos and remembered checksums stay out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("EDGE_CLASSIFY_CACHE", raising=False)
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def make_photos() -> Callable[..., Path]:
    """``make_photos(folder, classes=CLASSES, count=10, seed=0)`` -> the folder."""
    return _make_photos


@pytest.fixture
def photo_folder(tmp_path: Path) -> Path:
    """A folder of three class folders with ten photos each."""
    return _make_photos(tmp_path / "photos")


@pytest.fixture
def split_folder(tmp_path: Path) -> Path:
    """``train/`` (8 photos a class), ``val/`` (4) and ``test/`` (4) of three classes."""
    for seed, (part, count) in enumerate((("train", 8), ("val", 4), ("test", 4))):
        _make_photos(tmp_path / "data" / part, count=count, seed=seed)
    return tmp_path / "data"
