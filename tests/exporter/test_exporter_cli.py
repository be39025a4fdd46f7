"""The command: what it prints where, and with which exit code it ends."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from exporter import parity
from exporter.cli import bundle, cli


def edge_export(*arguments: object) -> int:
    with pytest.raises(SystemExit) as caught:
        cli.main([str(argument) for argument in arguments], "edge-export")
    return int(caught.value.code or 0)


def test_the_real_command_is_quiet(run: Path, tmp_path: Path) -> None:
    """TensorFlow, the converter and LiteRT each write to stderr unless they are hindered."""
    out = tmp_path / "bundle"
    command = "from exporter.cli import cli; cli()"
    arguments = ["bundle", run, "--out", out, "--formats", "tflite-fp32,onnx-fp32", "--json"]
    done = subprocess.run(
        [sys.executable, "-c", command, *map(str, arguments)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    first, *lines = done.stderr.splitlines()
    assert first == "opening the model"
    progress = r"%s +converted in \d+ s, 0\.\d MB; comparing on 18 photos"
    for line, fmt in zip(lines, ("onnx-fp32", "tflite-fp32"), strict=True):
        assert re.fullmatch(progress % fmt, line)
    report = json.loads(done.stdout)
    assert (report["bundle"], report["default"]) == (str(out), "tflite-fp32")
    assert [row["format"] for row in report["artifacts"]] == ["tflite-fp32", "onnx-fp32"]


@pytest.mark.usefixtures("instant")
def test_formats_may_be_repeated_and_listed(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = ["--formats", "tflite-fp32,onnx-fp32", "--formats", "tflite-fp16"]
    assert edge_export("bundle", run, "--out", tmp_path / "out", "--json", *wanted) == 0
    report = json.loads(capsys.readouterr().out)
    found = [row["format"] for row in report["artifacts"]]
    assert found == ["tflite-fp32", "tflite-fp16", "onnx-fp32"]


@pytest.mark.usefixtures("instant")
def test_table(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    formats = "tflite-fp32,tflite-int8,onnx-fp32"
    assert edge_export("bundle", run, "--out", tmp_path / "out", "-q", "--formats", formats) == 0
    lines = capsys.readouterr().out.splitlines()
    (line,) = [line for line in lines if line.strip().startswith("tflite-fp32")]
    assert "*" in line
    assert line.rstrip().endswith("ok")
    table = lines[: next(i for i, text in enumerate(lines) if "compared on" in text)]
    assert max(map(len, table)) <= 100
    assert not any("…" in text for text in table)  # nothing is cut off
    assert f"{tmp_path / 'out'}: compared on 18 validation photos" in lines


@pytest.mark.usefixtures("instant")
def test_a_format_that_differs_ends_with_4(
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    strict = replace(parity.THRESHOLDS["onnx-fp32"], max_abs_diff=-1.0)
    monkeypatch.setitem(parity.THRESHOLDS, "onnx-fp32", strict)
    common = ["bundle", run, "--formats", "tflite-fp32,onnx-fp32", "--json"]
    assert edge_export(*common, "--out", tmp_path / "a") == 4
    report = json.loads(capsys.readouterr().out)
    assert report["artifacts"][1]["file"] is None
    assert (tmp_path / "a" / "manifest.json").is_file()
    assert edge_export(*common, "--out", tmp_path / "b", "--accept", "onnx-fp32") == 0
    capsys.readouterr()
    common[3] = "onnx-fp32"
    assert edge_export(*common, "--out", tmp_path / "c") == 4
    output = capsys.readouterr()
    assert json.loads(output.out)["bundle"] is None
    assert "no bundle was written" in output.err
    assert not (tmp_path / "c").exists()


def test_exit_codes_of_bad_arguments(
    own_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert edge_export("bundle", tmp_path / "none", "--out", out) == 2
    assert edge_export("bundle", own_run, "--out", out, "--formats", "tflite-int4") == 2
    assert edge_export("bundle", own_run, "--out", out, "--opset", "99") == 2
    assert edge_export("bundle", own_run, "--out", out, "--batch", "many") == 2
    assert edge_export("bundle", own_run, "--out", out, "--batch", "0") == 2
    assert edge_export("bundle", own_run, "--out", out, "--int8-io", "int4") == 2
    assert edge_export("bundle", own_run, "--out", out, "--data", tmp_path / "nowhere") == 2
    assert edge_export("bundle", own_run) == 2
    (own_run / "model.keras").write_bytes(b"PK\x03\x04 cut off")
    capsys.readouterr()
    assert edge_export("bundle", own_run, "--out", out) == 3
    output = capsys.readouterr()
    assert f"error: {own_run / 'model.keras'}: damaged or cut off" in output.err
    assert "Traceback" not in output.err
    assert output.out == ""
    assert not out.exists()


@pytest.mark.parametrize(
    ("package", "more"), [("rich", []), ("jinja2", ["--out", "verified.html"])]
)
def test_verify_names_its_extra_before_the_work(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    package: str,
    more: list[str],
) -> None:
    """Of what prints its result; the extra brings no TensorFlow to a board."""
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.chdir(tmp_path)
    assert edge_export("verify", "none", *more) == 5
    assert "edge-classify[verify]" in capsys.readouterr().err


def test_help_has_an_example_and_the_librarys_defaults() -> None:
    """The options and :class:`ExportOptions` are the same."""
    from exporter.options import OPSETS, ExportOptions

    assert "edge-export bundle" in bundle.example
    found = {option.name: option for option in bundle.params}
    parsed = bundle.make_context("bundle", ["run", "--out", "folder"]).params
    for name, value in ExportOptions().to_dict().items():
        assert parsed[name] == (str(value) if name in ("batch", "max_drop") else value)
    assert (found["opset"].type.min, found["opset"].type.max) == OPSETS


def test_help_loads_nothing_heavy() -> None:
    code = "import sys, exporter.cli; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"tensorflow", "keras", "onnx", "tf2onnx", "numpy", "rich", "flatbuffers"}
    assert not heavy & set(done.stdout.split())
