"""How answers are written: text, table, CSV, JSON Lines; to a terminal, a pipe, a file."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from color_model import COLORS, INFO, ColorModels, edit_manifest, paint

from edge_runtime.cli import cli
from edge_runtime.output import make_format
from edge_runtime.output.plain import columns, fitted, visible
from edge_runtime.output.rows import CommaSeparated
from edge_runtime.output.table import Table
from edge_runtime.output.text import format_answer
from edge_runtime.prediction import Prediction

ANSWER = Prediction(
    path="a.jpg",
    label="red",
    index=0,
    score=0.951,
    top=(("red", 0, 0.951), ("green", 1, 0.03), ("blue", 2, 0.019)),
    calibrated_score=0.4,
    unknown=True,
    ms={"decode": 1.5, "infer": 2.5, "total": 4.25},
)
BAD = Prediction(path="b.jpg", error="b.jpg: no such file.")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "edge_runtime.cli", "image", *map(str, arguments)]


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    return paint(tmp_path / "p.png", COLORS["red"])


@pytest.mark.parametrize(
    ("prediction", "threshold", "text"),
    [
        (
            ANSWER,
            0.9,
            "unknown (red 0.951; calibrated 0.400, under 0.900)  [green 0.030, blue 0.019]",
        ),
        (
            replace(ANSWER, unknown=False, calibrated_score=0.99, top=ANSWER.top[:1]),
            0.9,
            "red 0.951 (calibrated 0.990)",
        ),
        (
            replace(ANSWER, calibrated_score=0.99786, top=()),
            0.9979,
            "unknown (red 0.951; calibrated 0.99786, under 0.99790)",
        ),
        (
            replace(ANSWER, calibrated_score=0.999, top=()),
            0.9999,
            "unknown (red 0.951; calibrated 0.9990, under 0.9999)",
        ),
        (replace(ANSWER, calibrated_score=None, top=()), 0.96, "unknown (red 0.951, under 0.960)"),
        (replace(ANSWER, calibrated_score=None, unknown=None, top=()), None, "red 0.951"),
    ],
)
def test_text_does_not_mislead(prediction: Prediction, threshold: float | None, text: str) -> None:
    """An unknown answer begins so, and the two scores that decided it are told apart."""
    assert format_answer(prediction, threshold) == text


def test_csv_reads_back() -> None:
    """Every value of the JSON, by a reader of RFC 4180."""
    odd = replace(ANSWER, path='a,"b"\nc.jpg')
    form = CommaSeparated(3, ["sorted"])
    text = form.head() + form.row(odd, {"sorted": "x/y.jpg"}) + form.row(BAD, {"sorted": None})
    assert text.count("\r\n") == 3
    first, second = csv.DictReader(io.StringIO(text, newline=""))
    assert first["path"] == odd.path and first["sorted"] == "x/y.jpg"
    assert (first["label"], first["index"], float(first["score"])) == ("red", "0", 0.951)
    assert (float(first["calibrated_score"]), first["unknown"]) == (0.4, "true")
    assert [first[f"top{n}_label"] for n in (1, 2, 3)] == ["red", "green", "blue"]
    assert (first["ms_decode"], first["ms_total"], first["error"]) == ("1.5", "4.25", "")
    assert second["path"] == "b.jpg" and second["error"] == "no such file."
    assert {key for key, value in second.items() if value} == {"path", "error"}


@pytest.mark.parametrize("first", "=+-@\t\r")
def test_csv_is_safe_in_a_spreadsheet(first: str) -> None:
    """No cell begins as a formula does; the path still names the same file."""
    name = f"{first}cmd|x.jpg"
    form = CommaSeparated(1)
    row = form.row(replace(ANSWER, path=name, label=name, top=((name, 0, 0.9),)), {})
    cells = next(csv.reader(io.StringIO(row, newline="")))
    assert cells[0] == f"./{name}" and cells[1] == cells[6] == f"'{name}"
    assert not any(cell.startswith(tuple("=+-@\t\r")) for cell in cells)
    cells = next(csv.reader([form.row(replace(BAD, path=name, error=f"{name}: gone."), {})]))
    assert cells[-1] == "gone."


def test_table_lines_up() -> None:
    """East Asian names take two columns each, marks none; every path begins in one column."""
    names = ("赤", "vert fonce\u0301", "blue")
    output = replace(INFO.output, temperature=2.0, unknown_threshold=0.5)
    info = replace(INFO, class_names=names, output=output)
    form = Table(info, 2, ())
    rows = [
        replace(ANSWER, path="ü.jpg", label=name, top=((name, i, 0.9), (names[i - 1], 0, 0.1)))
        for i, name in enumerate(names)
    ]
    lines = [line for row in rows for line in form.row(row, {}).splitlines()]
    places = {columns(line[: line.index("ü.jpg")]) for line in [*lines]}
    head, rule = form.head().splitlines()
    assert places == {columns(head[: head.index("path")])} and set(rule) == {"-", " "}
    assert all(" unknown " in line for line in lines)
    bad = form.row(BAD, {}).splitlines()
    assert bad[0].startswith("error ") and bad[0].index("b.jpg") == places.pop()
    assert bad[1].strip() == "no such file."


@pytest.mark.parametrize("width", [60, 80, 120])
def test_table_keeps_to_the_terminal(width: int) -> None:
    """Runners-up give way to the path, whose end is kept."""
    form = make_format("table", INFO, 3, (), width)
    row = form.row(replace(ANSWER, path="folder/" * 30 + "end.jpg"), {})
    assert columns(row.rstrip("\n")) == width and row.rstrip().endswith("/end.jpg")
    ranks = form.head().splitlines()[0].count("rank")
    assert (
        ranks == {60: 0, 80: 1, 120: 2}[width]
    )  # 27 columns for the rest, 24 for the path, 16 each


def test_text_helpers() -> None:
    assert columns("日本") == 4 and columns("e\u0301") == 1
    assert fitted("日本語", 4) == "日… " and fitted("日本語", 5) == "日本…"
    assert fitted("abcdef", 4, keep_end=True) == "…def" and fitted("ab", 4) == "ab  "
    assert visible("a\nb\x1b[0m\u202egpj") == "a\\nb\\x1b[0m\\u202egpj"
    assert visible("Äpfel 日本 👩‍🌾") == "Äpfel 日本 👩‍🌾"


@pytest.mark.parametrize(
    ("arguments", "first"),
    [
        (["--out", "{out}.csv"], "path,label,index"),
        (["--out", "{out}.jsonl"], '{"path"'),
        (["--out", "{out}.txt"], "{photo}: red"),
        (["--out", "{out}.txt", "--output", "table"], "label"),
        (["--out", "{out}.csv", "--json"], '{"path"'),
    ],
)
def test_out(
    color_models: ColorModels, photo: Path, tmp_path: Path, arguments: list[str], first: str
) -> None:
    """The extension says the form unless an option does; nothing is on standard output."""
    places = {"out": tmp_path / "new" / "out", "photo": photo}
    filled = [argument.format(**places) for argument in arguments]
    result = run("image", "--model", color_models.tflite, photo, *filled)
    assert (result.exit_code, result.stdout) == (0, ""), result.stderr
    file = Path(filled[1])
    assert file.read_text().startswith(first.replace("{photo}", str(photo)))
    assert os.listdir(file.parent) == [file.name]
    again = run("image", "--model", color_models.tflite, photo, *filled)
    assert again.exit_code == 2 and "--overwrite" in again.stderr
    assert (
        run("image", "--model", color_models.tflite, photo, *filled, "--overwrite").exit_code == 0
    )


def test_out_of_a_kind_that_is_not_written(
    color_models: ColorModels, photo: Path, tmp_path: Path
) -> None:
    """Text under the name of a spreadsheet would open nowhere; said so, it is the user's choice."""
    out = tmp_path / "out.xlsx"
    result = run("image", "--model", color_models.tflite, photo, "--out", out)
    assert result.exit_code == 2 and ".csv" in result.stderr and not out.exists()
    result = run("image", "--model", color_models.tflite, photo, "--out", out, "--output", "csv")
    assert result.exit_code == 0 and out.read_text().startswith("path,")


def test_out_is_written_though_a_photo_fails(
    color_models: ColorModels, photo: Path, tmp_path: Path
) -> None:
    (tmp_path / "bad.png").write_text("no photo")
    out = tmp_path / "out.jsonl"
    result = run("image", "--model", color_models.tflite, photo, tmp_path / "bad.png", "--out", out)
    assert result.exit_code == 1
    assert [json.loads(line)["label"] for line in out.read_text().splitlines()] == ["red", None]


def test_out_to_what_is_no_file(color_models: ColorModels, photo: Path, tmp_path: Path) -> None:
    """A device stays a device, a link to a file a link, also with --overwrite."""
    link, file = tmp_path / "link.txt", tmp_path / "file.txt"
    link.symlink_to(file)
    file.touch()
    for out in ("/dev/null", link):
        result = run("image", "--model", color_models.tflite, photo, "--out", out, "--overwrite")
        assert result.exit_code == 0, result.stderr
    assert not Path("/dev/null").is_file() and link.is_symlink() and ": red" in file.read_text()
    with (tmp_path / "redirected").open("wb") as stream:
        subprocess.run(
            command("--model", color_models.tflite, photo, "--out", "/dev/stdout", "--overwrite"),
            stdout=stream,
            check=True,
        )
    assert Path("/dev/stdout").is_symlink() and ": red" in (tmp_path / "redirected").read_text()


@pytest.mark.parametrize("options", [[], ["--output", "csv"], ["--out", "/dev/full"]])
def test_full_disk(color_models: ColorModels, photo: Path, options: list[str]) -> None:
    """Exit code 6 and one line, also from Python's own flush at the end."""
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            command("--model", color_models.tflite, photo, *options),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 6, done.stderr
    assert done.stderr.count("\n") == 1 and "No space left" in done.stderr


def test_full_disk_leaves_no_half_file(
    color_models: ColorModels, photo: Path, tmp_path: Path
) -> None:
    """A limit of 300 bytes a file stands for the disk; the answers of 20 photos take more."""
    import resource

    out = tmp_path / "out" / "answers.csv"
    done = subprocess.run(
        command("--model", color_models.tflite, *[photo] * 20, "--out", out),
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300)),
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == 6 and "Traceback" not in done.stderr, done.stderr
    assert os.listdir(out.parent) == []


def test_json_and_another_output(color_models: ColorModels, photo: Path) -> None:
    result = run("image", "--model", color_models.tflite, photo, "--json", "--output", "csv")
    assert result.exit_code == 2 and "--output csv" in result.stderr


def test_every_output_on_the_command_line(bundle: Path, photo: Path) -> None:
    """With a temperature and a threshold in the bundle all forms say the same."""
    edit_manifest(bundle, output={"kind": "probabilities", "temperature": 2.0,
                                  "unknown_threshold": 0.9})  # fmt: skip
    dim = paint(photo.parent / "dim.png", (136, 120, 120))
    results = {
        form: run("image", "--model", bundle, photo, dim, "--output", form, "--top-k", 2)
        for form in ("text", "table", "csv", "jsonl")
    }
    assert {result.exit_code for result in results.values()} == {0}
    sure, unsure = map(json.loads, results["jsonl"].stdout.splitlines())
    assert (sure["unknown"], unsure["unknown"], unsure["label"]) == (False, True, "red")
    # Logits 1, 0, 0 divided by the temperature of 2.
    assert unsure["calibrated_score"] == pytest.approx(0.4519, abs=1e-3)
    text = results["text"].stdout.splitlines()
    assert ": red 1.000 (calibrated " in text[0] and ": unknown (red 0.576; calib" in text[1]
    _, dim_row = csv.DictReader(io.StringIO(results["csv"].stdout))
    assert float(dim_row["calibrated_score"]) == unsure["calibrated_score"]
    assert results["table"].stdout.splitlines()[3].split()[:4] == [
        "red",
        "0.576",
        "0.452",
        "unknown",
    ]
