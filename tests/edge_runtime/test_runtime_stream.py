"""``edge-classify stream`` as a command, and ``classify_frames`` in a program of one's own."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from color_model import ColorModels
from stream_parts import ORDER, write_video

from edge_runtime import Classifier
from edge_runtime.cli import cli
from edge_runtime.errors import DataError
from edge_runtime.stream import LoopSettings, classify_frames

#: Keys of a result, and of an event, whose values differ from run to run.
TIMES = {"ms", "time", "age_ms", "since", "seconds", "mean_fps", "age_p95_ms"}


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty frames: ten red, ten green, ten blue."""
    return write_video(tmp_path_factory.mktemp("video") / "colors.avi")


def run(*arguments: object) -> Result:
    """Run edge-classify stream in this process."""
    return CliRunner().invoke(cli, ["stream", *map(str, arguments)])


def lines(*arguments: object) -> list[dict[str, Any]]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_every_frame_of_a_file_in_order(color_models: ColorModels, video: Path) -> None:
    answers = lines("--model", color_models.tflite, "--source", video)
    assert [answer["frame"] for answer in answers] == list(range(30))
    assert [answer["label"] for answer in answers] == [name for name in ORDER for _ in range(10)]
    first = answers[0]
    assert first["path"] == str(video) and first["age_ms"] >= 0 and first["error"] is None
    assert first["time"].endswith("+00:00") and answers[5]["seconds"] == pytest.approx(0.2)


def test_every_part_of_the_work_is_timed(color_models: ColorModels, video: Path) -> None:
    for answer in lines("--model", color_models.tflite, "--source", video):
        ms = answer["ms"]
        parts = [ms[name] for name in ("decode", "preprocess", "infer", "postprocess")]
        assert min(parts) >= 0 and ms["preprocess"] > 0 and ms["infer"] > 0
        # Each is rounded to a thousandth.
        assert ms["total"] == pytest.approx(sum(parts), abs=0.003)


def test_encoded_pictures_are_timed_apart(color_models: ColorModels) -> None:
    """What decodes a JPEG is not what resizes it."""
    import io

    import numpy as np
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.zeros((600, 800, 3), np.uint8)).save(buffer, "JPEG")
    with Classifier.open(color_models.tflite) as classifier:
        decoded = classifier.decode(buffer.getvalue())
    assert 0 < decoded.reading < decoded.seconds


def test_max_frames_and_text(color_models: ColorModels, video: Path) -> None:
    result = run("--model", color_models.tflite, "--source", video, "--max-frames", 3)
    assert result.exit_code == 0
    printed = result.stdout.splitlines()
    assert len(printed) == 3 and printed[0].startswith("frame 0: red ")
    assert "3 answered" in result.stderr


def test_every_and_top_k(color_models: ColorModels, video: Path) -> None:
    answers = lines("--model", color_models.tflite, "--source", video, "--every", 7, "--top-k", 2)
    assert [answer["frame"] for answer in answers] == [0, 7, 14, 21, 28]
    assert {len(answer["top"]) for answer in answers} == {2}


def test_max_fps_makes_a_recording_wait(color_models: ColorModels, video: Path) -> None:
    """All frames are answered, at 200 a second no sooner than 145 ms after the first."""
    answers = lines(
        "--model", color_models.tflite, "--source", video, "--max-fps", 200, "--print", "all"
    )
    stop = answers.pop()
    assert stop["event"] == "stop" and stop["results"] == 30 and stop["seconds"] >= 0.145


def test_duration_ends_an_endless_source(color_models: ColorModels) -> None:
    answers = lines(
        "--model", color_models.tflite, "--source", "test:", "--duration", 0.3, "--print", "events"
    )
    assert answers[-1]["event"] == "stop" and answers[-1]["reason"] == "duration"


def test_roi(color_models: ColorModels, tmp_path: Path) -> None:
    """Left half red, right half blue."""
    import cv2
    import numpy as np

    file = tmp_path / "halves.avi"
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter_fourcc(*"MJPG"), 25, (64, 64))
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[:, :32, 2] = picture[:, 32:, 0] = 255
    for _ in range(3):
        writer.write(picture)
    writer.release()
    for roi, label in (("0,0,0.4,1", "red"), ("60%,0%,100%,100%", "blue")):
        answers = lines("--model", color_models.tflite, "--source", file, "--roi", roi)
        assert [answer["label"] for answer in answers] == [label] * 3
    assert run("--model", color_models.tflite, "--source", file, "--roi", "1,2").exit_code == 2


def test_threshold(color_models: ColorModels, video: Path) -> None:
    """The model has none of its own; a score of 1.0 is under no threshold."""
    model = ("--model", color_models.tflite, "--source", video)
    assert {answer["unknown"] for answer in lines(*model)} == {None}
    assert {answer["unknown"] for answer in lines(*model, "--threshold", 0.5)} == {False}


def test_steady_label_and_its_events(color_models: ColorModels, video: Path) -> None:
    """Three labels, each told once, in order, with the one before."""
    told = lines(
        "--model", color_models.tflite, "--source", video, "--smooth-window", 0.2, "--print", "all"
    )
    events = [event for event in told if event.get("event") == "label"]
    assert [event["label"] for event in events] == ORDER
    assert [event["previous"] for event in events] == [None, "red", "green"]
    assert events[0]["stood_s"] is None
    for event in events:
        answer = next(answer for answer in told if answer.get("frame") == event["frame"]
                      and "event" not in answer)  # fmt: skip
        assert answer["steady"]["label"] == event["label"] == answer["label"]
        assert event["seconds"] == pytest.approx(event["frame"] / 25)
    before = {answer["frame"]: answer["steady"] for answer in told if "event" not in answer}
    assert before[0]["label"] is None and before[events[1]["frame"] - 1]["label"] == "red"


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_times(inner) for key, inner in value.items() if key not in TIMES}
    return value


@pytest.mark.parametrize("method", ["exponential", "majority", "none"])
def test_two_runs_are_alike(color_models: ColorModels, video: Path, method: str) -> None:
    """But for timings."""
    command = (
        "--model", color_models.tflite, "--source", video, "--print", "all", "--smooth", method,
    )  # fmt: skip
    first, second = ([without_times(line) for line in lines(*command)] for _ in range(2))

    # "source" is told by another thread, between any two lines.
    def ordered(told: list[Any]) -> list[Any]:
        return [line for line in told if line.get("event") != "source"]

    assert ordered(first) == ordered(second) and len(first) > 30


def test_stop_tells_what_the_run_came_to(color_models: ColorModels, video: Path) -> None:
    stop = lines("--model", color_models.tflite, "--source", video, "--print", "events")[-1]
    assert (stop["event"], stop["reason"], stop["error"]) == ("stop", "ended", None)
    assert (stop["frames"], stop["results"], stop["corrupt"]) == (30, 30, 0)
    assert stop["mean_fps"] > 0 and stop["age_p95_ms"] > 0 and stop["output_drops"] == {}


@pytest.mark.parametrize(
    ("source", "said", "code"), [("none.mp4", "none.mp4", 2), ("text.mp4", "text.mp4", 3)]
)
def test_wrong_use(
    color_models: ColorModels, tmp_path: Path, source: str, said: str, code: int
) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    result = run("--model", color_models.tflite, "--source", tmp_path / source)
    assert (result.exit_code, result.stdout) == (code, "")
    assert said in result.stderr and "Traceback" not in result.stderr


def test_example_of_the_library(
    color_models: ColorModels, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The docstring of classify_frames, run as it stands."""
    import doctest

    monkeypatch.chdir(color_models.bundle.parent)
    (example,) = doctest.DocTestFinder().find(classify_frames, "classify_frames", globs={})
    outcome = doctest.DocTestRunner().run(example)
    assert outcome.attempted >= 3 and outcome.failed == 0, capsys.readouterr().out


def test_leaving_the_iteration_leaves_no_thread(color_models: ColorModels, video: Path) -> None:
    events = []
    before = set(threading.enumerate())
    with Classifier.open(color_models.tflite) as classifier:
        frames = classify_frames(classifier, str(video), notify=events.append)
        assert next(frames).prediction.label == "red"
        frames.close()  # type: ignore[attr-defined]  # it is a generator
    assert set(threading.enumerate()) <= before
    assert events[-1].kind == "stop" and events[-1].data["reason"] == "closed"


def test_errors_reach_the_program(color_models: ColorModels, tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    events = []
    with Classifier.open(color_models.tflite) as classifier, pytest.raises(DataError):
        list(classify_frames(classifier, str(text), notify=events.append))
    assert events[-1].data["reason"] == "error" and "text.mp4" in events[-1].data["error"]


def test_settings_of_the_library(color_models: ColorModels, video: Path) -> None:
    with Classifier.open(color_models.tflite) as classifier:
        settings = LoopSettings(k=1, every=10, max_frames=2)
        results = list(classify_frames(classifier, str(video), settings))
    assert [result.frame.number for result in results] == [0, 10]
    assert results[1].prediction.label == "green" and results[1].steady is None
    assert results[1].prediction.scores is None  # nobody smooths


def test_program_of_the_page(
    color_models: ColorModels, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What docs/stream/running.md shows."""
    import textwrap

    page = (Path(__file__).parents[2] / "docs/stream/running.md").read_text()
    program = page.partition("## From a program\n")[2].split("\n\nThe next result")[0]
    assert "classify_frames" in program
    monkeypatch.chdir(color_models.bundle.parent)
    exec(compile(textwrap.dedent(program), "running.md", "exec"), {})
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 60 and all(line.endswith(" ms old") for line in printed)


def test_every_option_is_on_the_page() -> None:
    """Those of the loop and the state file, but for the page's own spelling."""
    from edge_runtime.commands.stream import stream

    page = (Path(__file__).parents[2] / "docs/stream/running.md").read_text()
    own = {
        option
        for parameter in stream.params
        if (parameter.name or "").startswith(("loop_", "state_"))
        for option in parameter.opts
    }
    assert len(own) == 14 and {option for option in own if option not in page} == set()
