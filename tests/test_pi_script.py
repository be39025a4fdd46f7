"""scripts/test_pi.py: what it refuses, what it compares, what it makes of a board's answers."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

ROOT = Path(__file__).parents[1]
STEP = 1 / 256  # of a softmax in uint8


@pytest.fixture()
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    """``module("pi_compare")`` and so on: the modules lie side by side, as when it is run."""
    monkeypatch.syspath_prepend(ROOT / "scripts")
    return importlib.import_module


@pytest.fixture()
def bundle(tmp_path: Path) -> Path:
    """As much of a bundle as the script reads by itself."""
    folder = tmp_path / "bundle"
    (folder / "golden").mkdir(parents=True)
    for name in ("golden-1.jpg", "golden-1.pixels.png", "golden-2.png", "golden.json"):
        (folder / "golden" / name).write_text("x")
    names = {"tflite-fp32": "tflite", "tflite-int8": "tflite", "onnx-fp32": "onnx"}
    artifacts: list[dict[str, Any]] = [
        {"format": name, "file": f"model-{name}.{suffix}"} for name, suffix in names.items()
    ]
    for artifact in artifacts:
        (folder / artifact["file"]).write_text("x")
    artifacts += [
        {"format": "saved_model", "file": "model-saved_model"},
        {"format": "tflite-fp16", "file": None},  # did not pass its check
    ]
    (folder / "manifest.json").write_text(json.dumps({"artifacts": artifacts}))
    return folder


def tools_folder(tmp_path: Path, setup: str = "exit 0") -> Path:
    """A folder of the two scripts, of which the first does what is given."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name, text in (("pi-setup.sh", setup), ("pi-run.sh", "exit 0")):
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    return folder


def line(path: str, scores: dict[int, float], error: str | None = None) -> str:
    """What ``image --json`` prints of a photo."""
    top = [
        {"label": f"class {index}", "index": index, "score": score}
        for index, score in sorted(scores.items(), key=lambda item: -item[1])
    ]
    best = top[0]["label"] if top else None
    return json.dumps({"path": path, "label": best, "top": top, "error": error})


def test_make_target(tmp_path: Path) -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")

    def made(*arguments: str) -> str:
        command = ["make", "--no-print-directory", "-n", *arguments]
        return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout

    help_text = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True).stdout
    assert "make test-pi" in help_text and "PI_TOOLS" in help_text
    named = made("test-pi", "BUNDLE=one two", "PI_TOOLS=some dir", "ARGS=--suite trixie")
    wanted = "scripts/test_pi.py one two --tools 'some dir' --suite trixie"
    assert wanted in " ".join(named.split())
    if not (ROOT / "bundle").exists():
        assert "scripts/test_pi.py demo/bundle" in made("test-pi")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nowhere"], 2, "nowhere: no such file or folder"),
        ([], 2, "BUNDLE"),
        (["{bundle}", "--suite", "buster"], 2, "bookworm"),
        (["{bundle}", "--photos", "nothing.jpg"], 2, "nothing.jpg: no such file"),
        (["{bundle}", "--keep", "{bundle}"], 2, "exists already"),
        (["{bundle}", "--tools", "{bundle}"], 5, "no pi-setup.sh and no pi-run.sh"),
    ],
)
def test_wrong_use(bundle: Path, arguments: list[str], code: int, words: str) -> None:
    """Before anything is built or installed, and without a traceback."""
    command = [sys.executable, ROOT / "scripts/test_pi.py"]
    command += [argument.format(bundle=bundle) for argument in arguments]
    env = {**os.environ, "EDGE_CLASSIFY_SHARED": os.fspath(bundle)}
    env.pop("PI_TOOLS", None)
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    assert words in done.stderr and "Traceback" not in done.stderr and done.stdout == ""


def test_needs_root_and_x86(script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machines = script("pi_machines")
    tools = tools_folder(tmp_path)
    monkeypatch.setattr(machines.sys, "platform", "linux")
    monkeypatch.setattr(machines.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(machines.os, "geteuid", lambda: 0)
    machines.check_tools(tools)
    monkeypatch.setattr(machines.os, "geteuid", lambda: 1000)
    with pytest.raises(machines.Missing, match="root is needed"):
        machines.check_tools(tools)
    monkeypatch.setattr(machines.platform, "machine", lambda: "aarch64")
    with pytest.raises(machines.Missing, match="selftest BUNDLE"):
        machines.check_tools(tools)
    assert machines.Missing.exit_code == 5


def test_failed_set_up_is_told(script: Any, tmp_path: Path) -> None:
    machines = script("pi_machines")
    tools = tools_folder(tmp_path, "echo no Debian mirror found >&2; exit 2")
    with pytest.raises(machines.Missing, match=r"qemu-user-static.*\n.*no Debian mirror found"):
        machines.emulated_board(tools, "bookworm", "cortex-a72", tmp_path)


def test_not_a_bundle(script: Any, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(Exception, match=r"no manifest\.json"):
        script("test_pi").copy_bundles([empty], [], tmp_path)


def test_subjects_of_a_bundle(script: Any, bundle: Path, tmp_path: Path) -> None:
    """Every file that a board can run, on photos and not on what they are decoded to."""
    work = tmp_path / "work"
    work.mkdir()
    subjects = script("test_pi").copy_bundles([bundle], [], work)
    assert [s.fmt for s in subjects] == ["tflite-fp32", "tflite-int8", "onnx-fp32"]
    photos = ("photos-1-bundle/golden-1.jpg", "photos-1-bundle/golden-2.png")
    assert {s.photos for s in subjects} == {photos}
    assert all((work / photo).is_file() for photo in photos)
    singles = [s.model for s in script("pi_checks").single_files(work, subjects)]
    assert singles == ["1-bundle/model-tflite-fp32.tflite", "1-bundle/model-onnx-fp32.onnx"]


@pytest.mark.parametrize(
    ("output", "file", "allowed"),
    [
        ({"dtype": "float32", "scale": None}, "m.tflite", 1e-5),
        ({"dtype": "uint8", "scale": STEP}, "m.tflite", STEP),
        ({"dtype": "int8", "scale": 0.1}, "m.tflite", 0.1),
        ({"dtype": "float32", "scale": None}, "m.onnx", None),
    ],
)
def test_allowed_difference(
    script: Any, output: dict[str, Any], file: str, allowed: float | None
) -> None:
    found = script("pi_compare").allowed_difference({"file": file, "outputs": [output]})
    assert found == (None if allowed is None else pytest.approx(allowed, rel=1e-5))


@pytest.mark.parametrize(
    ("there", "allowed", "problem"),
    [
        ([line("a", {0: 0.7, 1: 0.3})], 1e-5, None),
        ([line("a", {0: 0.700009, 1: 0.299991})], 1e-5, None),
        ([line("a", {0: 0.70002, 1: 0.29998})], 1e-5, "a score differs by 2e-05"),
        ([line("a", {0: 0.70002, 1: 0.29998})], None, None),  # stated only
        ([line("a", {0: 0.4, 1: 0.6})], None, "a: class 1, x86: class 0"),
        ([line("a", {0: 0.7})], None, "has no score here"),
        ([line("a", {0: float("nan"), 1: 0.3})], 1e-5, "has no score here"),
        ([line("a", {}, "cannot be read")], 1e-5, "cannot be read"),
        ([], 1e-5, "0 answers, x86 gave 1"),
        ([line("b", {0: 0.7, 1: 0.3})], 1e-5, "1 answers"),
    ],
)
def test_compare_answers(
    script: Any, there: list[str], allowed: float | None, problem: str | None
) -> None:
    here = line("a", {0: 0.7, 1: 0.3})
    row = script("pi_compare").compare_answers("pi", "image", here, "\n".join(there), allowed)
    assert row.problem is None if problem is None else problem in row.problem


def test_one_step_passes_and_two_do_not(script: Any) -> None:
    compare = script("pi_compare")
    model = {"file": "m.tflite", "outputs": [{"dtype": "uint8", "scale": STEP}]}
    allowed = compare.allowed_difference(model)
    here = line("a", {0: 200 * STEP, 1: 56 * STEP})
    one, two = (line("a", {0: (200 - n) * STEP, 1: (56 + n) * STEP}) for n in (1, 2))
    assert compare.compare_answers("pi", "image", here, one, allowed).problem is None
    assert compare.compare_answers("pi", "image", here, two, allowed).problem is not None


def test_a_partly_float_file_is_held_to_its_own_noise(script: Any) -> None:
    """Four steps, as a Cortex-A72 gives, pass and are told; nine, and another label, do not."""
    compare = script("pi_compare")
    output = {"dtype": "uint8", "scale": STEP}
    model = {"file": "m.tflite", "outputs": [output], "activations": {"int8": 9, "float32": 2}}
    whole = model | {"activations": {"int8": 11, "uint8": 2}}
    assert compare.is_partly_float(model) and not compare.is_partly_float(whole)
    assert not compare.is_partly_float(model | {"outputs": [{"dtype": "float32"}]})

    def judged(info: dict[str, Any], first: int, second: int) -> Any:
        here = line("a", {0: 200 * STEP, 1: 56 * STEP})
        there = line("a", {0: first * STEP, 1: second * STEP})
        allowed = compare.allowed_difference(info)
        row = compare.compare_answers("pi", "image", here, there, allowed)
        return compare.noted(row, info)

    four = judged(model, 196, 60)
    assert four.problem is None and "4 steps of 8" in four.note
    assert "ok (partly float32: 4 steps" in compare.table([four])
    assert judged(whole, 196, 60).problem is not None
    assert judged(whole, 199, 57).note == ""
    assert "allowed is 0.031" in judged(model, 191, 65).problem
    assert "class 1" in judged(model, 100, 156).problem
    missing = compare.compare_answers(
        "pi", "i", line("a", {0: 0.7, 1: 0.3}), line("a", {0: 0.7}), 1
    )
    assert compare.noted(missing, model) == missing
    assert compare.picture_tolerance(whole) < 1 < compare.picture_tolerance(model)
    assert compare.picture_tolerance(model | {"file": "m.onnx"}) is None


def test_compare_pictures(script: Any, tmp_path: Path) -> None:
    compare = script("pi_compare")
    grey = np.full((8, 8, 3), 100, np.uint8)
    folders = [tmp_path / name for name in ("x86", "same", "other", "size", "fewer")]
    dot = grey.copy()
    dot[0, 0] += 3  # 3/64 of a grey level, under the 0.1 that are allowed
    pictures = [grey, dot, grey + 3, grey[:4], None]
    for folder, pixels in zip(folders, pictures, strict=True):
        folder.mkdir()
        if pixels is not None:
            Image.fromarray(pixels).save(folder / "a.png")
    problems = [compare.compare_pictures("pi", "map", folders[0], f).problem for f in folders]
    assert problems[0] is None and problems[1] is None
    assert "3 grey levels" in problems[2]
    assert compare.compare_pictures("pi", "map", folders[0], folders[2], None).problem is None
    assert "another size" in problems[3]
    assert "0 files, x86 wrote 1" in problems[4]


def test_table_and_exit_code(
    script: Any, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A miss is in the table, in the JSON and in the exit code; the work folder is gone."""
    main, compare = script("test_pi"), script("pi_compare")
    rows = [
        compare.Row("trixie", "image, b tflite-fp32", "equal", 1e-7, 1e-5),
        compare.Row("trixie", "image, b onnx-fp32", "equal", 2e-7, None),
        compare.Row("trixie", "doctor", problem="exit code 5"),
    ]
    used = []

    def run(tools: Path, suites: Any, cpu: str, subjects: Any, work: Path) -> list[Any]:
        used.append(work)
        return rows[: len(subjects)]

    monkeypatch.setattr(main, "check_tools", lambda tools: None)
    monkeypatch.setattr(main, "run", run)
    out = tmp_path / "table.json"
    command = [str(bundle), "--shared", str(tmp_path / "none"), "--out", str(out)]
    result = CliRunner().invoke(main.main, command)
    assert result.exit_code == 4, result.output
    assert "stated only" in result.stdout and "FAILED" in result.stdout
    assert "nothing about a board" in result.stdout
    assert json.loads(out.read_text())[2]["problem"] == "exit code 5"
    assert used and not used[0].exists()
    rows[2] = compare.Row("trixie", "doctor")
    assert CliRunner().invoke(main.main, command).exit_code == 0


def test_one_failure_does_not_hide_the_others(script: Any, bundle: Path, tmp_path: Path) -> None:
    """A board on which int8 dies and gradcam writes another picture: two rows of the table."""
    checks, work = script("pi_checks"), tmp_path / "work"
    work.mkdir()
    subjects = script("test_pi").copy_bundles([bundle], [], work)
    x86, board = Fake("x86", work), Fake("trixie", work, dies_on="tflite-int8", grey=110)
    rows = list(checks.check_board(board, checks.Reference(x86), subjects, "x.whl"))
    assert board.installed == ["", "onnx"]
    problems = {row.check: row.problem for row in rows}
    failed = {check for check, problem in problems.items() if problem is not None}
    assert "exit code 132 on trixie" in problems["image, bundle tflite-int8"]
    pictures = {check for check in problems if check.startswith(("gradcam", "image --heatmap"))}
    assert len(pictures) == 5
    stated = {check for check in pictures if "onnx" in check}  # onnxruntime's are not judged
    selftest = "selftest 1-bundle, tflite-fp32, tflite-int8"
    assert failed == (pictures - stated) | {"image, bundle tflite-int8", selftest}
    assert problems["base install, ONNX names its extra"] is None
    assert problems["doctor"] is None and problems["selftest 1-bundle, onnx-fp32"] is None


class Fake:
    """A machine with canned answers, in place of an emulated one."""

    def __init__(self, name: str, work: Path, dies_on: str = "", grey: int = 100) -> None:
        self.name, self.work, self.dies_on, self.grey = name, work, dies_on, grey
        self.installed: list[str] = ["onnx"] if name == "x86" else []

    def install(self, wheel: str, extra: str = "") -> None:
        self.installed.append(extra)

    def versions(self) -> str:
        return "aarch64"

    def edge_classify(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        def done(code: int, out: str = "", err: str = "") -> subprocess.CompletedProcess[str]:
            return subprocess.CompletedProcess(arguments, code, out, err)

        if self.dies_on and self.dies_on in arguments:
            return done(132, err="Illegal instruction")
        if "onnx-fp32" in arguments and "onnx" not in self.installed:
            return done(5, err="pip install 'edge-classify[onnx]'")
        if arguments[0] == "info":
            output = {"dtype": "float32", "scale": None}
            onnx = any("onnx" in argument for argument in arguments)
            file = "m.onnx" if onnx else "m.tflite"
            return done(0, json.dumps({"file": file, "outputs": [output]}))
        if arguments[0] == "selftest":  # onnxruntime's scores are not those that were stored
            onnx_check: dict[str, Any] = {
                "kind": "artifact",
                "subject": "onnx-fp32",
                "max_abs_diff": 0.09,
            }
            onnx_check["result"] = "failed"
            return done(4, json.dumps({"checks": [onnx_check]}))
        target = self.work / arguments[-1]
        picture = Image.new("L", (4, 4), self.grey)
        if arguments[0] == "gradcam":
            picture.save(target)
        elif "--heatmap" in arguments:
            target.mkdir()
            picture.save(target / "a.png")
        elif arguments[0] == "image":
            return done(0, line("a", {0: 0.7, 1: 0.3}))
        return done(0, "{}")


def test_models_of_others_are_held_to_their_labels(script: Any, tmp_path: Path) -> None:
    """Their scores are stated; the photos beside the file are asked about."""
    checks, work, beside = script("pi_checks"), tmp_path / "work", tmp_path / "models"
    work.mkdir()
    beside.mkdir()
    for name in ("m.tflite", "cat.bmp", "LICENSE"):
        (beside / name).write_text("x")
    (subject,) = script("test_pi").copy_foreign([beside / "m.tflite"], work)
    assert subject.model == "foreign-1/m.tflite" and subject.photos == ("foreign-1/cat.bmp",)
    x86, board = Fake("x86", work), Fake("trixie", work, grey=110)
    row = checks.answers(board, checks.Reference(x86), subject)
    assert row.problem is None and row.labels == "equal" and row.allowed is None
    assert checks.heat_maps(board, checks.Reference(x86), subject).difference == 10
