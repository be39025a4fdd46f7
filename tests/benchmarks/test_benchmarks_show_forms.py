"""A result as table, CSV, Markdown and page: whole, escaped, and nothing said that is not shown."""

from __future__ import annotations

import copy
import csv
import io
import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from click import unstyle
from sample_results import sample_result, sample_row, sample_rows

from benchmarks.show import as_text
from benchmarks.show.plots import histogram_chart, tradeoff_chart
from benchmarks.show.svg import Axis
from benchmarks.show.terminal import print_table
from benchmarks.verdict import Limits, decide

INT8_4 = "tflite-int8, litert, 4 threads"


def decided(*rows, limits=None, stated=None, **more):
    result = sample_result(*rows, **more)
    result["verdict"] = decide(result, limits or Limits(), stated)
    return result


def printed(result, monkeypatch=None, width=None) -> str:
    stream = io.StringIO()
    if width is not None:
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", str(width))
    print_table(result, stream)
    return unstyle(stream.getvalue())


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_table_fits_its_terminal(width, monkeypatch):
    text = printed(decided(), monkeypatch, width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    table = text.split("\n\n")[1]
    for word in (
        "configuration",
        "thr",
        "p50",
        "memory",
        "size",
        "acc.",
        "state",
        "INVALID",
        "failed",
    ):
        assert word in table
    assert ("Too narrow for: " in " ".join(text.split())) == (width < 120)


def test_80_columns_hold_what_a_choice_needs(monkeypatch):
    table = printed(decided(), monkeypatch, 80).split("\n\n")[1]
    assert {"p50", "±", "p90", "memory", "size", "acc."} <= set(table.split())
    assert re.search(r"^> tflite-int8 +4 +7.00", table, re.MULTILINE)


def test_legend_explains_what_is_shown_and_nothing_else(monkeypatch):
    text = printed(decided(), monkeypatch, 60).replace("\n", " ")
    assert "load: of the model" not in text
    assert "> recommended" in text
    bare = printed(sample_result(sample_row(correct=None, memory=None, throughput=[])))
    assert "recommended" not in bare and "Pareto" not in bare
    assert "accuracy" not in bare and "peak" not in bare and "best:" not in bare
    assert "state" not in bare.split("\n\n")[1]
    assert "MB: 1,000,000 bytes" in bare


def test_interpreter_has_a_column_where_the_format_does_not_say_it():
    assert "interpreter" not in printed(decided())
    other = sample_row("tflite-fp32", 2)
    other["engine"]["interpreter"] = "tflite-runtime"
    assert "interpreter" in printed(decided(sample_row(), other)).split("\n\n")[1]


def test_rows_of_several_subjects_and_delegates_are_told_apart(monkeypatch):
    rows = [
        sample_row(name="b0: tflite-fp32, litert, 1 thread"),
        sample_row(name="v2: tflite-fp32, litert, 1 thread, edgetpu"),
        sample_row(name=f"{'long' * 20}.tflite, litert, 1 thread (2)"),
    ]
    text = printed(decided(*rows), monkeypatch, 80)
    table = text.split("\n\n")[1]
    assert "b0: tflite-fp32 " in table and "v2: tflite-fp32, edgetpu " in table
    assert max(map(len, text.splitlines())) <= 80 and "…" not in text
    parts = [line[2:30].strip() for line in table.splitlines() if "long" in line or "(2)" in line]
    assert "".join(parts).replace(" ", "") == "long" * 20 + ".tflite(2)"


def test_reasons_stand_below_the_table_and_the_verdict_at_the_end():
    text = printed(decided(reasons=["the machine swapped"]))
    assert "INVALID: the whole run: the machine swapped." in text
    assert "INVALID: onnx-fp32, onnxruntime, 1 thread: throttled: the board was too hot" in text
    assert "no parity: onnx-fp32, onnxruntime, 4 threads: its answers differ" in text
    assert "skipped: onnx-int8, onnxruntime, 1 thread: onnxruntime is not installed." in text
    assert text.rstrip().endswith("92.0% of the photos are right.")


def test_reasons_are_joined_whether_they_end_with_a_stop_or_not():
    row = sample_row(status="invalid", reasons=("too noisy", "swapped.", "too short"))
    assert "1 thread: too noisy; swapped; too short." in printed(decided(row))


def test_notes_of_valid_rows_are_shown():
    text = printed(decided(sample_row(reasons=("fell back to the CPU.",))))
    assert "note: tflite-fp32, litert, 1 thread: fell back to the CPU." in text


def test_names_are_no_markup():
    result = decided(sample_row(), subject={"path": "[bold]bundle"}, input={"photo": "[red]a.png"})
    assert "[bold]bundle; timed on [red]a.png" in printed(result)


def test_threads_that_the_interpreter_chooses():
    text = printed(decided(sample_row(threads=None)))
    assert "own: the interpreter chooses its threads" in text


def test_accuracy_that_the_bundle_states():
    rows = [sample_row(correct=None)]
    result = decided(*rows, stated={("bundle", "tflite-fp32"): (0.978, (0.92, 1.0))})
    text = " ".join(printed(result).split())
    assert "acc.: accuracy, % of the validation photos, as the bundle states" in text
    assert "97.8" in printed(result).split("\n\n")[1]
    (row,) = csv.DictReader(io.StringIO(as_text(result, "csv")))
    assert row["accuracy_from"] == "bundle"


def test_csv_is_rfc_4180():
    text = as_text(decided(), "csv")
    assert text.endswith("\r\n") and text.count("\n") == text.count("\r\n") == 10
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [len(row) for row in rows] == [len(rows[0])] * 9
    first = rows[0]
    assert first["name"] == INT8_4 and first["recommended"] == "true"
    assert float(first["p50_ms"]) == 7.0 and first["throughput_streams"] == "2"
    assert (first["correct"], first["photos"], first["accuracy"]) == ("92", "100", "0.92")
    failed = rows[-1]
    assert failed["status"] == "failed" and failed["p50_ms"] == "" and failed["bytes"] == "6000000"
    assert failed["reasons"] == "killed by SIGKILL: out of memory?"


def test_csv_runs_no_formula():
    row = sample_row(name='=cmd|"x"')
    assert '"\'=cmd|""x"""' in as_text(decided(row), "csv")


def test_csv_without_rows_is_empty():
    result = sample_result(sample_row())
    result["rows"] = []
    assert as_text(result, "csv") == "\r\n"


def test_markdown():
    lines = as_text(decided(), "markdown").splitlines()
    assert lines[0].startswith(f"**{INT8_4} is the fastest")
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 11
    assert len({line.count("|") for line in table}) == 1
    assert table[2].startswith(f"| **{INT8_4}** | 7.00 ± 2.0 % | 7.70 |")
    assert "- INVALID: onnx-fp32, onnxruntime, 1 thread: throttled" in "\n".join(lines)


def test_markdown_escapes_names():
    text = as_text(decided(sample_row(name="a|b*c<img>`")), "markdown")
    assert "**a\\|b\\*c\\<img\\>\\`**" in text


class Page(HTMLParser):
    """What a page refers to, and whether its elements are closed."""

    VOID = frozenset({"meta", "br", "wbr", "img", "line", "circle", "rect", "polyline"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.open, self.text = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def page():
    return Page(as_text(decided(limits=Limits(max_latency_ms=30, min_accuracy=0.9)), "html"))


def test_page_is_whole_and_stands_alone(page):
    assert page.open == []
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "link", "img", "iframe", "object", "form"}
    for _, attributes in page.tags:
        assert not {"src", "href", "onclick", "onload"} & set(attributes)
    policy = next(a for t, a in page.tags if t == "meta" and "http-equiv" in a)
    assert policy["content"] == "default-src 'none'; style-src 'unsafe-inline'"


def test_page_shows_everything(page):
    text = " ".join(page.text.split())
    for words in (
        "is the fastest of the",
        "edge-classify image --model bundle --format tflite-int8 --threads 4",
        "throttled: the board was too hot for its clock.",
        "killed by SIGKILL",
        "failed its parity check",
        "63.0 °C",
        "Raspberry Pi 4 Model B Rev 1.4",
        "limit 30 ms",
        "photos/test",
    ):
        assert words in text


@pytest.mark.parametrize(
    ("path", "kind", "file", "fmt", "options"),
    [
        ("bundle", "bundle", "model.tflite", "tflite-int8", "--format tflite-int8 --threads 1"),
        ("./m.tflite", "file", "m.tflite", "tflite", "--threads 1"),
        ("runs/one", "file", "runs/one/model.keras", "keras", "--threads 1"),
    ],
)
def test_page_tells_a_command_that_runs(path, kind, file, fmt, options):
    given = {"labels": ["a", "b"], "mean": [1.5, 2.0, 3.0], "std": [2.0], "size": [8, 9]}
    row = sample_row(fmt)
    row["artifact"] |= {"subject": path, "file": file}
    row["engine"]["interpreter"] = None
    result = sample_result(row)
    result["subject"] |= {"kind": "several", "members": [{"path": path, "kind": kind}]}
    result["settings"]["model"] = {**given, "layout": "NCHW", "fit": None}
    result["verdict"] = decide(result, Limits())
    expected = (
        f"edge-classify image --model {path} {options} --labels labels.txt --mean 1.5,2.0,3.0 "
        "--std 2.0 --layout NCHW --input-size 8x9 photo.jpg"
    )
    assert expected in Page(as_text(result, "html")).text


def test_plots_have_words_for_those_who_do_not_see_them(page):
    plots = [a for t, a in page.tags if t == "svg"]
    assert len(plots) == 1 + 7  # of all that can be trusted, and of each row with a latency
    assert all(a["role"] == "img" and a["aria-label"] for a in plots)
    assert plots[0]["aria-label"] == "accuracy over p90 latency of 5 configurations"
    assert "half of 500 inferences took at most 7.00 ms" in plots[1]["aria-label"]


def test_page_escapes_names():
    row = sample_row(name="<script>alert(1)</script>", reasons=("<b>x</b>",))
    text = as_text(decided(row), "html")
    assert "<script>" not in text and "<b>x" not in text
    assert Page(text).open == []


def test_page_without_a_verdict_or_rows():
    for result in (sample_result(), decided(sample_row(status="failed", reasons=("died",)))):
        text = as_text(result, "html")
        assert Page(text).open == []
    nothing = sample_result()
    nothing["rows"] = []
    assert "Configurations" in as_text(nothing, "html")


def test_page_of_a_profile():
    operators = [
        {"operator": f"Op{n}", "calls": 1, "ms": 1.0 / n, "share": 0.1} for n in range(1, 16)
    ]
    profile = {"profiler": "onnxruntime", "runs": 10, "ms": 3.3, "operators": operators}
    text = as_text(decided(sample_row("onnx-fp32", profile=profile)), "html")
    assert "Op12" in text and "Op13" not in text and "and 3 cheaper ones" in text
    none = {"profiler": None, "reason": "no profiler"}
    assert "Where the time goes" not in as_text(decided(sample_row(profile=none)), "html")


def places(svg, tag="circle"):
    root = ElementTree.fromstring(svg)
    return [{**element.attrib} for element in root.iter(tag)]


def test_tradeoff_places():
    result = decided()
    dots = places(tradeoff_chart(result))
    assert [dot["class"] for dot in dots] == ["best", "other", "front", "front", "other"]
    x, y = ([float(dot[axis]) for dot in dots] for axis in ("cx", "cy"))
    assert x == sorted(x)  # numbered as the table, by latency
    assert y[2] == max(y)  # 80 %: lowest on the page
    assert all(44 <= value <= 390 for value in x) and all(16 <= value <= 262 for value in y)


def test_tradeoff_of_memory_where_no_accuracy_is_known():
    result = decided(sample_row(correct=None), sample_row("tflite-int8", 1, 7, correct=None))
    assert 'aria-label="peak memory over p90 latency of 2 configurations"' in tradeoff_chart(result)
    text = as_text(result, "html")
    assert "Memory against latency" in text


def test_tradeoff_of_nothing():
    assert tradeoff_chart(sample_result()) == ""
    assert tradeoff_chart(decided(sample_row(correct=None, memory=None))) == ""


def test_numbers_do_not_hide_each_other():
    rows = [sample_row(f, n, 10.0 + n / 10) for f in ("tflite-fp32", "tflite-fp16") for n in (1, 2)]
    found = [
        (float(a["x"]), float(a["y"]))
        for a in places(tradeoff_chart(decided(*rows)), "text")
        if "number" in a.get("class", "")
    ]
    assert len(found) == 4
    for place, one in enumerate(found):
        for other in found[:place]:
            assert abs(one[0] - other[0]) >= 10 or abs(one[1] - other[1]) >= 9


def test_histogram():
    latency = copy.deepcopy(sample_rows()[0]["latency"])
    bars = places(histogram_chart("x", latency), "rect")
    counts = [count for count in latency["histogram"]["counts"] if count]
    assert len(bars) == len(counts)
    heights = [float(bar["height"]) for bar in bars]
    assert heights.index(max(heights)) == counts.index(max(counts))
    assert min(heights) >= 1.5  # one slow run of thousands is seen
    latency["histogram"] = {"edges_ms": [9.99, 10.01], "counts": [30]}
    assert len(places(histogram_chart("x", latency), "rect")) == 1
    latency["histogram"] = {"edges_ms": [1.0, 2.0], "counts": [0]}
    assert histogram_chart("x", latency) == ""


@pytest.mark.parametrize(
    ("low", "high", "logarithmic", "ticks"),
    [
        (0, 100, False, [0, 20, 40, 60, 80, 100]),
        (96.6, 98.9, False, [97, 97.5, 98, 98.5]),
        (6, 60, True, [10, 20, 50]),
        (1, 1000, True, [1, 10, 100, 1000]),
        (9.5, 11, True, [9.5, 10, 10.5, 11]),
    ],
)
def test_ticks(low, high, logarithmic, ticks):
    assert Axis(low, high, logarithmic).ticks() == pytest.approx(ticks)


@pytest.mark.parametrize("value", [0.0, 5.0])
def test_axis_of_one_value(value):
    axis = Axis(value, value)
    assert 0 < axis.share(value) < 1
    assert Axis(value or 1, value or 1, logarithmic=True).ticks()


def test_json_is_the_result():
    result = decided()
    assert json.loads(as_text(result, "json")) == json.loads(json.dumps(result))
