"""What a stream leaves on the disk: rows of a CSV file, and snapshots; and commands that it runs."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from stream_results import PATIENCE, label_event, make_frame, make_result, wait_for

from edge_runtime.errors import EdgeError, SystemFailure, UsageError
from edge_runtime.stream.outputs.base import Outlet
from edge_runtime.stream.outputs.command import Command
from edge_runtime.stream.outputs.csv_file import CsvFile
from edge_runtime.stream.outputs.snapshots import Snapshots, safe_name
from edge_runtime.stream.results import Event
from edge_runtime.stream.status import Status

STATUS = Status("test:", "model")


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_a_row_a_frame_is_there_at_once(tmp_path: Path) -> None:
    file = tmp_path / "new" / "frames.csv"
    output = CsvFile(str(file))
    output.result(make_result("red", 0.75, make_frame(3, seconds=0.5)))
    assert len(rows(file)) == 1  # flushed by line
    output.result(make_result("=cmd()", 0.25, unknown=True))
    output.event(label_event())  # no row
    output.close()
    first, second = rows(file)
    assert (first["frame"], first["seconds"], first["label"]) == ("3", "0.5", "red")
    assert (first["score"], first["state"], first["ms_infer"]) == ("0.75", "red", "2.0")
    assert first["time"].endswith("+00:00") and first["error"] == ""
    assert (second["label"], second["state"], second["unknown"]) == ("'=cmd()", "unknown", "true")


def test_added_to_by_the_next_run(tmp_path: Path) -> None:
    file = tmp_path / "frames.csv"
    for _ in range(2):
        output = CsvFile(str(file))
        output.result(make_result())
        output.close()
    assert len(rows(file)) == 2
    with pytest.raises(UsageError, match="something else"):
        CsvFile(str(file), "events")
    CsvFile(str(file), "events", overwrite=True).close()
    assert rows(file) == []


def test_a_row_an_event(tmp_path: Path) -> None:
    file = tmp_path / "events.csv"
    output = CsvFile(str(file), "events")
    assert not output.wants_results
    output.event(Event("source", {"state": "lost", "reason": 'a, "b"\n'}))
    output.event(label_event("red", 7))
    output.close()
    lost, label = rows(file)
    assert (lost["event"], lost["state"], lost["label"]) == ("source", "lost", "")
    assert json.loads(lost["details"]) == {"reason": 'a, "b"\n'}
    assert (label["state"], label["label"], label["frame"]) == ("red", "red", "7")


@pytest.mark.parametrize("place", ["file/x.csv", "."])
def test_places_that_are_none(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises((UsageError, SystemFailure)):
        CsvFile(str(tmp_path / place))


_FILL = """
import resource, sys
sys.path.insert(0, sys.argv[2])
from stream_results import make_frame, make_result
from edge_runtime.stream.outputs.csv_file import CsvFile
output = CsvFile(sys.argv[1])
limit = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limit[1]))
failed = 0
for number in range(400):
    if number == 300:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    try:
        output.result(make_result(frame=make_frame(number)))
    except OSError:
        failed += 1
output.close()
print(failed)
"""


def test_a_disk_that_was_full_leaves_whole_rows(tmp_path: Path) -> None:
    file = tmp_path / "frames.csv"
    done = subprocess.run(
        [sys.executable, "-c", _FILL, file, os.path.dirname(__file__)],
        capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": os.getcwd()},
    )  # fmt: skip
    assert int(done.stdout) > 100  # most of 300 rows did not fit into 1000 bytes
    found = rows(file)
    assert [row["label"] for row in found] == ["red"] * len(found)
    numbers = [int(row["frame"]) for row in found]
    assert numbers == sorted(set(numbers)) and set(range(301, 400)) <= set(numbers)
    assert all(None not in row and None not in row.values() for row in found)


def test_no_room_for_the_head() -> None:
    with pytest.raises(SystemFailure, match="No space left"):
        CsvFile("/dev/full")


def test_snapshots(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "shots"
    output = Snapshots(str(folder), STATUS)
    assert output.wants_heatmaps and not output.wants_results
    event = label_event("../Crème/\n", 5, heat=True)
    output.event(event)
    output.event(Event("source", {"state": "open"}))  # has no frame
    names = sorted(path.name for path in folder.iterdir())
    stem = names[0].partition("-")[0]
    assert names == [f"{stem}-5-Creme{end}" for end in (".heatmap.jpg", ".jpg", ".json")]
    picture = np.asarray(Image.open(folder / names[1]))
    assert picture.shape == (48, 64, 3) and picture[20, 20, 0] > 240  # as it came, no text
    assert Image.open(folder / names[0]).size > (64, 48)
    told = json.loads((folder / names[2]).read_text())
    assert told["label"] == "../Crème/\n" and told["pictures"] == [names[1], names[0]]
    assert told["result"]["frame"] == 5 and told["model"] == "model"


def test_snapshots_of_a_model_without_heat_maps(tmp_path: Path) -> None:
    Snapshots(str(tmp_path), STATUS).event(label_event())
    plain = Snapshots(str(tmp_path), STATUS, heatmaps=False)
    assert not plain.wants_heatmaps
    plain.event(label_event("blue", heat=True))
    assert not list(tmp_path.glob("*heatmap*")) and len(list(tmp_path.iterdir())) == 4


def test_the_oldest_snapshots_go(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_text("not ours")
    for number in range(3):
        Snapshots(str(tmp_path), STATUS, most=2).event(label_event("x", number, heat=True))
    kept = sorted(path.name.split("-")[1] for path in tmp_path.glob("2*.json"))
    assert kept == ["1", "2"] and (tmp_path / "holiday.jpg").exists()
    assert len(list(tmp_path.iterdir())) == 7
    Snapshots(str(tmp_path), STATUS, most_bytes=1).event(label_event("x", 3))
    assert [path.name.split("-")[1] for path in tmp_path.glob("2*.json")] == ["3"]


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="not a folder"):
        Snapshots(str(tmp_path / "file"), STATUS)
    with pytest.raises((UsageError, SystemFailure)):
        Snapshots(str(tmp_path / "file" / "below"), STATUS)


@pytest.mark.parametrize(
    ("label", "name"),
    [("water bottle", "water_bottle"), ("../../etc", "etc"), ("牛乳", "label"), ("", "label"),
     ("a" * 300, "a" * 60), (".hidden", "hidden"), ("a/b\\c:d\0e", "a_b_c_d_e"), ("CON.", "CON")],
)  # fmt: skip
def test_safe_names(label: str, name: str) -> None:
    assert safe_name(label) == name


def command(text: str, kinds: tuple[str, ...] = ("label",), seconds: float = PATIENCE) -> Command:
    return Command(text, STATUS, kinds, seconds)


def test_a_command_reads_the_event(tmp_path: Path) -> None:
    out = tmp_path / "out"
    output = command(f"sh -c 'cat > \"$0\"; env >> \"$0\"' '{out}'")
    output.event(Event("source", {"state": "open"}))
    assert not out.exists()
    output.event(label_event("$(touch pwned); 牛乳\0", 4))
    first, *environment = out.read_text().splitlines()
    told = json.loads(first)
    assert told["event"] == "label" and told["label"] == "$(touch pwned); 牛乳\0"
    assert "EDGE_LABEL=$(touch pwned); 牛乳" in environment and "EDGE_SCORE=0.9" in environment
    assert "EDGE_EVENT=label" in environment and "EDGE_FRAME=4" in environment
    assert "EDGE_SOURCE=test:" in environment and not Path("pwned").exists()


def test_a_command_that_reads_nothing_and_one_that_talks_much(
    capfd: pytest.CaptureFixture[str],
) -> None:
    command("true").event(label_event("x" * 300_000))  # more than a pipe holds
    with pytest.raises(EdgeError, match=r"^sh: ended with 3\. the \\x1b\[1m last line$"):
        command(
            "sh -c 'yes talk | head -c 300000; yes talk | head -c 300000 >&2; "
            'printf "the \\033[1m last line\\n\\n" >&2; exit 3\''
        ).event(label_event())
    assert capfd.readouterr() == ("", "")


def test_a_command_that_takes_too_long_dies_with_its_children(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    hard = f"sh -c 'trap \"\" TERM; sleep 1000 & echo $! > {pid}; echo stuck >&2; wait; wait'"
    with pytest.raises(EdgeError, match=r"took too long, and was killed\. stuck"):
        command(hard, seconds=1.0).event(label_event())
    child = int(pid.read_text())

    def gone() -> bool:
        try:
            return "(sleep) Z" in Path(f"/proc/{child}/stat").read_text()
        except OSError:
            return True

    wait_for(gone)


def test_a_child_in_the_background_is_not_waited_for() -> None:
    begun = time.monotonic()
    command("sh -c 'sleep 5 & exit 0'").event(label_event())
    assert time.monotonic() - begun < 5


def test_one_at_a_time_and_the_end_of_the_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_runtime.stream.outputs.command._FAREWELL", 0.2)
    status = Status("test:", "m")
    log = tmp_path / "log"
    outlet = Outlet(
        Command(f"sh -c 'echo run >> {log}; sleep 1000'", status, ("label",), 1000), status
    )
    outlet.event(label_event())
    outlet.event(label_event())
    wait_for(lambda: log.exists() and log.read_text() == "run\n")
    assert outlet.close(PATIENCE)
    assert status.snapshot()["output_failures"] == {"exec": 2}


@pytest.mark.parametrize(
    ("text", "said"), [("no-such-program-here x", "no program"), ("a 'b", "quot"), ("", "empty")]
)
def test_commands_that_are_none(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        command(text)


def test_a_program_that_cannot_be_run(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/no/such/interpreter\n")
    program.chmod(0o755)
    output = command(os.fspath(program))
    with pytest.raises(SystemFailure, match="No such file"):
        output.event(label_event())
