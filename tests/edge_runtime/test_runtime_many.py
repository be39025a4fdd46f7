"""Photos decoded ahead on other threads: in order, within bounds, and gone when nobody asks."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_model as small
from color_model import COLORS, ColorModels, paint

from edge_runtime import Classifier
from edge_runtime.ahead import Ahead
from edge_runtime.errors import ImageError, UsageError
from edge_runtime.manifest import ModelInfo, PreprocessSpec
from edge_runtime.opening import open_backend

#: Nothing here takes longer; a hang shall be a failure.
SOON = 60


def decoders() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "edge-decode"]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    until = time.monotonic() + SOON
    while decoders() and time.monotonic() < until:
        time.sleep(0.01)
    assert not decoders()


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """Red, green, blue, red...: 30 photos."""
    colors = itertools.islice(itertools.cycle(COLORS.items()), 30)
    return [
        paint(tmp_path / "many" / f"{n:02}-{name}.png", color)
        for n, (name, color) in enumerate(colors)
    ]


@pytest.mark.parametrize("form", ["tflite", "tflite_int8", "onnx"])
@pytest.mark.parametrize("workers", [0, 1, 3, None])
def test_same_answers_in_order(
    color_models: ColorModels, photos: list[Path], form: str, workers: int | None
) -> None:
    with Classifier.open(getattr(color_models, form)) as classifier:
        alone = [classifier.classify(photo) for photo in photos]
        many = list(classifier.classify_many(photos, workers=workers))
    assert [answer.path for answer in many] == [str(photo) for photo in photos]
    assert [(a.label, a.top) for a in many] == [(a.label, a.top) for a in alone]
    for answer in many:
        assert answer.ms is not None and set(answer.ms) == {"decode", "infer", "total"}
        assert answer.ms["total"] >= answer.ms["decode"] + answer.ms["infer"] - 0.002  # rounded


def test_unreadable_photos_keep_their_place(color_models: ColorModels, photos: list[Path]) -> None:
    photos[4].write_bytes(b"no image")
    photos[7].unlink()
    with Classifier.open(color_models.tflite) as classifier:
        many = list(classifier.classify_many(photos, k=1))
    assert [n for n, answer in enumerate(many) if answer.error] == [4, 7]
    assert "not an image" in str(many[4].error) and "no such file" in str(many[7].error)
    assert many[7].label is None and many[7].ms is None
    assert [answer.label for answer in many[5:7]] == ["blue", "red"]


def test_a_slow_photo_holds_its_place() -> None:
    def work(number: int) -> int:
        time.sleep(0.05 if number % 3 == 0 else 0)
        return number

    with Ahead(work, range(20), workers=3, limit=6) as ahead:
        assert list(ahead) == list(range(20))


def test_bounded_and_endless() -> None:
    """Of an endless iterator no more is drawn than the limit allows, however slow the taker."""
    drawn = 0

    def endless() -> Iterator[int]:
        nonlocal drawn
        for number in itertools.count():
            drawn += 1
            yield number

    with Ahead(lambda number: number, endless(), workers=2, limit=5) as ahead:
        for taken, number in enumerate(itertools.islice(ahead, 40)):
            assert number == taken
            time.sleep(0.002)
            assert drawn <= taken + 1 + 5


def test_leaving_early_ends_the_threads(color_models: ColorModels, photos: list[Path]) -> None:
    with Classifier.open(color_models.tflite) as classifier:
        answers = classifier.classify_many(itertools.cycle(photos))
        assert next(answers).label == "red"
        assert decoders()
        answers.close()  # type: ignore[attr-defined]  # it is a generator
        assert not decoders()


def test_an_answer_does_not_wait_for_the_next_photo(
    color_models: ColorModels, photos: list[Path]
) -> None:
    """As with paths that somebody types; leaving while the iterator waits is no hang either."""
    asked, go_on = threading.Event(), threading.Event()

    def slow() -> Iterator[Path]:
        yield photos[1]
        asked.set()
        go_on.wait(SOON)
        yield photos[2]

    with Classifier.open(color_models.tflite) as classifier:
        answers = classifier.classify_many(slow())
        assert next(answers).label == "green"
        assert asked.wait(SOON) and not go_on.is_set()
        start = time.monotonic()
        answers.close()  # type: ignore[attr-defined]
        assert time.monotonic() - start < SOON / 2, "it must not wait for the iterator"
        go_on.set()


def test_what_the_iterator_raises_comes_after_the_answers(
    color_models: ColorModels, photos: list[Path]
) -> None:
    def failing() -> Iterator[Path]:
        yield from photos[:3]
        raise OSError("the list ended badly")

    labels = []
    with (
        Classifier.open(color_models.tflite) as classifier,
        pytest.raises(OSError, match="badly"),
    ):
        labels += [answer.label for answer in classifier.classify_many(photos[:3])]
        for answer in classifier.classify_many(failing()):
            labels.append(answer.label)
    assert labels == ["red", "green", "blue"] * 2


def test_what_the_work_raises_comes_in_its_place() -> None:
    def work(number: int) -> int:
        if number == 3:
            raise MemoryError
        return number

    with Ahead(work, range(9), workers=2, limit=4) as ahead:
        assert [next(ahead) for _ in range(3)] == [0, 1, 2]
        with pytest.raises(MemoryError):
            next(ahead)
        assert list(ahead) == [4, 5, 6, 7, 8]
        assert list(ahead) == []


def test_one_photo_needs_no_thread(
    color_models: ColorModels, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a thread was started")

    with Classifier.open(color_models.tflite) as classifier:
        monkeypatch.setattr(threading.Thread, "start", refuse)
        assert [answer.label for answer in classifier.classify_many(photos[:1])] == ["red"]
        assert list(classifier.classify_many([])) == []


def test_explanations_are_of_the_same_inference(
    color_models: ColorModels, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Classifier.open(color_models.tflite) as classifier:
        expected = [classifier.explain(photo) for photo in photos[:4]]
        plain = [classifier.classify(photo) for photo in photos[:4]]
        monkeypatch.setattr(classifier.backend, "run", lambda *_: pytest.fail("inferred twice"))
        many = list(classifier.classify_many(photos[:4], explain=True))
    for answer, alone, explanation in zip(many, plain, expected, strict=True):
        assert answer.explanation is not None
        assert (answer.label, answer.score) == (alone.label, alone.score)
        assert (answer.explanation.label, answer.explanation.score) == (answer.label, answer.score)
        np.testing.assert_array_equal(answer.explanation.heatmap, explanation.heatmap)
        assert "explanation" not in answer.to_dict()


def test_region_of_interest(color_models: ColorModels) -> None:
    """Left half red, right half blue."""
    halves = np.zeros((40, 80, 3), np.uint8)
    halves[:, :40, 0] = halves[:, 40:, 2] = 255
    left, right = (0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0)
    with Classifier.open(color_models.tflite) as classifier:
        assert classifier.classify(halves, roi=left).label == "red"
        found = [a.label for a in classifier.classify_many([halves, halves], roi=right)]
        assert found == ["blue", "blue"]
        with pytest.raises(UsageError, match="region of interest"):
            list(classifier.classify_many([halves, halves], roi=(0.5, 0, 0.5, 1)))


class _Counting:
    """How many photos each run was given."""

    def __init__(self, classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
        self.runs: list[int] = []
        run = classifier.backend.run

        def counted(tensor: np.ndarray) -> Any:
            self.runs.append(len(tensor))
            return run(tensor)

        monkeypatch.setattr(classifier.backend, "run", counted)


@pytest.fixture(scope="module")
def network() -> Any:
    return small.network()


@pytest.mark.parametrize("exported", [4, None])
def test_batch(
    network: Any, tmp_path: Path, exported: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = small.pixels(10)
    expected = np.asarray(network(pixels.astype(np.float32), training=False)).argmax(axis=1)
    backend = open_backend(small.tflite(network, tmp_path / "m.tflite", exported), threads=1)
    names = tuple(f"class {n}" for n in range(small.CLASSES))
    info = ModelInfo(names, PreprocessSpec(small.SIDE, small.SIDE))
    with Classifier(backend, info, "tflite", "m.tflite") as classifier:
        counting = _Counting(classifier, monkeypatch)
        photos: list[Any] = list(pixels)
        photos[5] = b"damaged"
        many = list(classifier.classify_many(photos, batch=4))
        # The damaged one leaves its place in the second run empty.
        assert counting.runs == ([4, 4, 4] if exported else [4, 3, 2])
        assert [a.index for n, a in enumerate(many) if n != 5] == np.delete(expected, 5).tolist()
        assert many[5].error is not None and many[5].index is None
        counting.runs.clear()
        assert len(list(classifier.classify_many(photos))) == 10
        # A fixed batch is filled up; of any, one photo a run is the quickest on a CPU.
        assert set(counting.runs) == ({4} if exported else {1})


def test_batch_that_the_model_does_not_take(
    color_models: ColorModels, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Classifier.open(color_models.tflite) as classifier:
        monkeypatch.setattr(classifier.backend, "batch", 1)
        with pytest.raises(UsageError, match=r"takes 1 a run.*--batch 8"):
            classifier.classify_many(photos, batch=8)
        with pytest.raises(UsageError, match="expected 1 or more"):
            classifier.classify_many(photos, batch=0)
        with pytest.raises(UsageError, match="one photo at a time"):
            classifier.classify_many(photos, batch=2, explain=True)
        with pytest.raises(UsageError, match="workers -1"):
            classifier.classify_many(photos, workers=-1)


def test_several_threads_share_a_classifier(color_models: ColorModels, photos: list[Path]) -> None:
    expected = [list(COLORS)[n % 3] for n in range(len(photos))]
    found: list[list[str | None]] = []
    with Classifier.open(color_models.tflite) as classifier:

        def work() -> None:
            labels = [classifier.classify(photo).label for photo in photos]
            labels += [answer.label for answer in classifier.classify_many(photos)]
            found.append(labels)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == [expected * 2] * 4


def test_after_closing(color_models: ColorModels, photos: list[Path]) -> None:
    classifier = Classifier.open(color_models.tflite)
    answers = classifier.classify_many(photos)
    next(answers)
    classifier.close()
    classifier.close()
    for use in (
        lambda: classifier.classify(photos[0]),
        lambda: classifier.classify_many(photos),
        lambda: classifier.explain(photos[0]),
        lambda: list(answers),
    ):
        with pytest.raises(UsageError, match=r"closed\. Open the model again"):
            use()


@pytest.mark.skipif(not os.path.exists("/proc/self/maps"), reason="Linux tells what is mapped")
def test_closing_releases_the_file(color_models: ColorModels) -> None:
    def mapped() -> bool:
        return str(color_models.tflite) in Path("/proc/self/maps").read_text()

    classifier = Classifier.open(color_models.tflite)
    assert mapped(), "LiteRT maps the file"
    classifier.close()
    assert not mapped()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_copy_answers(color_models: ColorModels, photos: list[Path]) -> None:
    """Not promised by the interpreters, so the docstring advises against it; it is no hang."""
    code = (
        "import os, sys\n"
        "from edge_runtime import Classifier\n"
        "classifier = Classifier.open(sys.argv[1], threads=2)\n"
        "classifier.classify(sys.argv[2])\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    os._exit(classifier.classify(sys.argv[2]).label != 'red')\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    command = [sys.executable, "-c", code, str(color_models.tflite), str(photos[0])]
    assert subprocess.run(command, timeout=SOON, check=False).returncode == 0


def test_ctrl_c_ends_it(color_models: ColorModels, photos: list[Path]) -> None:
    """While it waits for a photo that does not come, too."""
    code = (
        "import sys, time\n"
        "from edge_runtime import Classifier\n"
        "def photos():\n"
        "    yield from sys.argv[2:] * 3\n"
        "    print('waiting', flush=True)\n"
        "    time.sleep(60)\n"
        "with Classifier.open(sys.argv[1]) as classifier:\n"
        "    try:\n"
        "        for answer in classifier.classify_many(photos()):\n"
        "            pass\n"
        "    except KeyboardInterrupt:\n"
        "        print('interrupted')\n"
    )
    command = [sys.executable, "-c", code, str(color_models.tflite), *map(str, photos)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=SOON)[0] == "interrupted\n"
    assert process.returncode == 0


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="Linux counts them")
def test_nothing_is_left_open(color_models: ColorModels, photos: list[Path]) -> None:
    """benchmarks/perf/many_classifications.py does this 100,000 times and watches memory, too."""

    def counts() -> tuple[int, int]:
        return len(os.listdir("/proc/self/fd")), threading.active_count()

    with Classifier.open(color_models.tflite) as classifier:
        list(classifier.classify_many(photos))
        before = counts()
        for n in range(20):
            answers = classifier.classify_many([*photos, b"damaged", "missing.jpg"])
            list(itertools.islice(answers, 40 if n % 2 else 5))
            answers.close()  # type: ignore[attr-defined]
        assert counts() == before


def test_classify_raises_what_classify_many_tells(color_models: ColorModels) -> None:
    with Classifier.open(color_models.tflite) as classifier:
        with pytest.raises(ImageError) as raised:
            classifier.classify("nowhere.jpg")
        assert classifier.try_classify("nowhere.jpg").error == str(raised.value)
