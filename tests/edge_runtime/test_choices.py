"""This board's choice of a bundle: written by the benchmark, taken by ``--format auto``."""

from __future__ import annotations

import json
import os
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from edge_runtime.bundle import Bundle
from edge_runtime.choices import (
    Choice,
    board_name,
    choice_for,
    may_name,
    read_choices,
    this_board,
    write_choice,
)
from edge_runtime.engine import Engine
from edge_runtime.errors import BundleError, UsageError
from edge_runtime.manifest import AUTO, CHOICES_NAME, MANIFEST_NAME, Artifact, Manifest
from edge_runtime.opening import open_model


def manifest_of(folder: Path) -> Manifest:
    return Bundle.open(folder).manifest


def slow_choice(folder: Path, **more) -> Choice:
    """A choice that ``auto`` would never make by itself: the last of the files."""
    artifact = other(folder)
    return replace(
        Choice(artifact.format, artifact.sha256, 3, None, None, "It is best.", "2026-01-01"), **more
    )


def other(folder: Path) -> Artifact:
    manifest = manifest_of(folder)
    without = manifest.fastest().format
    return next(a for a in manifest.artifacts if a.format not in (without, "saved_model"))


def test_auto_takes_what_was_chosen_for_this_board(bundle):
    before = Bundle.open(bundle).artifact(AUTO).format
    untouched = (bundle / MANIFEST_NAME).read_bytes()
    choice = slow_choice(bundle)
    assert write_choice(bundle, manifest_of(bundle), this_board(), choice) == bundle / CHOICES_NAME
    opened = Bundle.open(bundle)
    assert before != choice.format == opened.artifact(AUTO).format
    assert opened.artifact().format == opened.manifest.default
    assert (bundle / MANIFEST_NAME).read_bytes() == untouched
    assert open_model(bundle, AUTO).format == choice.format


def test_its_threads_are_taken_unless_others_are_asked_for(bundle, monkeypatch):
    from edge_runtime import opening

    write_choice(bundle, manifest_of(bundle), this_board(), slow_choice(bundle))
    asked, opened = [], opening.open_backend

    def open_backend(path, threads=None, engine=None):
        asked.append(engine.threads)
        return opened(path, threads, engine)

    monkeypatch.setattr(opening, "open_backend", open_backend)
    open_model(bundle, AUTO)
    open_model(bundle, AUTO, Engine(threads=2))
    open_model(bundle)
    assert asked == [3, 2, None]


def test_boards_keep_their_own(bundle):
    manifest, choice = manifest_of(bundle), slow_choice(bundle)
    write_choice(bundle, manifest, "Another board, riscv64, 4 cores", choice)
    assert choice_for(bundle, manifest) is None
    write_choice(bundle, manifest, this_board(), replace(choice, threads=2))
    write_choice(bundle, manifest, this_board(), replace(choice, threads=4))
    found = read_choices(bundle / CHOICES_NAME)
    assert {name: c.threads for name, c in found.items()} == {
        "Another board, riscv64, 4 cores": 3,
        this_board(): 4,
    }
    assert [f.name for f in bundle.iterdir() if f.name.startswith(".")] == []


def test_choice_of_a_file_that_was_exported_again_is_ignored_and_then_forgotten(bundle):
    manifest, choice = manifest_of(bundle), slow_choice(bundle)
    text = json.dumps(
        {"schema_version": 1, "boards": {this_board(): entry(choice, sha256="0" * 64)}}
    )
    (bundle / CHOICES_NAME).write_text(text)
    assert choice_for(bundle, manifest) is None
    write_choice(bundle, manifest, "another", choice)
    assert list(read_choices(bundle / CHOICES_NAME)) == ["another"]


def entry(choice: Choice, **more) -> dict:
    return {**vars(choice), **more}


def test_choice_of_another_bundle_is_refused(bundle):
    choice = slow_choice(bundle, sha256="0" * 64)
    with pytest.raises(UsageError, match="Measure this bundle again"):
        write_choice(bundle, manifest_of(bundle), this_board(), choice)
    assert not (bundle / CHOICES_NAME).exists()


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"schema_version": 1}',
        '{"schema_version": 1, "boards": []}',
        "[" * 10_000,
    ],
)
def test_damaged_file_is_named_with_its_remedy(bundle, text):
    (bundle / CHOICES_NAME).write_text(text)
    with pytest.raises(BundleError, match=r"choices\.json: damaged .* Remove it"):
        open_model(bundle, AUTO)
    assert open_model(bundle).format == manifest_of(bundle).default  # nobody else is disturbed


def test_newer_layout_is_passed_over(bundle):
    (bundle / CHOICES_NAME).write_text('{"schema_version": 2, "boards": 7}')
    assert choice_for(bundle, manifest_of(bundle)) is None
    before = (bundle / CHOICES_NAME).read_bytes()
    with pytest.raises(UsageError, match="newer version, and stays as it is"):
        write_choice(bundle, manifest_of(bundle), this_board(), slow_choice(bundle))
    assert (bundle / CHOICES_NAME).read_bytes() == before


def test_entry_of_another_board_that_cannot_be_read_disturbs_nobody(bundle):
    choice = slow_choice(bundle)
    newer = entry(choice, interpreter="of a newer version")
    boards = {this_board(): entry(choice), "a": {"format": 3}, "b": [], "c": newer}
    text = json.dumps({"schema_version": 1, "boards": boards})
    (bundle / CHOICES_NAME).write_text(text)
    assert open_model(bundle, AUTO).format == choice.format
    assert list(read_choices(bundle / CHOICES_NAME)) == [this_board()]
    # One that speaks of a file of the bundle stays for the version that wrote it.
    write_choice(bundle, manifest_of(bundle), "another", choice)
    kept = json.loads((bundle / CHOICES_NAME).read_text())["boards"]
    assert set(kept) == {this_board(), "another", "c"} and kept["c"] == newer


def test_a_bundle_cannot_name_a_library(bundle):
    """Opening a bundle of others must not load their code."""
    library = slow_choice(bundle, delegate="/tmp/evil.so")
    with pytest.raises(UsageError, match="no library"):
        write_choice(bundle, manifest_of(bundle), this_board(), library)
    text = json.dumps({"schema_version": 1, "boards": {this_board(): entry(library)}})
    (bundle / CHOICES_NAME).write_text(text)
    assert read_choices(bundle / CHOICES_NAME) == {}
    assert choice_for(bundle, manifest_of(bundle)) is None


@pytest.mark.parametrize(
    ("delegate", "allowed"),
    [
        ("xnnpack", True),
        ("edgetpu,device=usb", True),
        ("CUDAExecutionProvider:device_id=0", True),
        ("edgetpu,device=usb:0", True),
        ("OpenVINOExecutionProvider:device_type=GPU.0,num_streams=2", True),
        ("TensorrtExecutionProvider:trt_fp16_enable=1", True),
        ("OpenVINOExecutionProvider:load_config=config.json", False),
        ("QNNExecutionProvider:backend_path=libQnnHtp.so", False),
        ("QNNExecutionProvider:backend_path=libevil.so.1", False),
        ("./evil", False),
        ("evil.so", False),
        ("xnnpack,path=/tmp/evil.so", False),
        ("TensorrtExecutionProvider:engine=/tmp/evil", False),
    ],
)
def test_delegates_that_may_be_named(delegate, allowed):
    assert may_name(delegate) == allowed


def test_what_the_caller_asks_for_comes_first(bundle):
    choice = slow_choice(bundle, format="tflite-fp32", interpreter="litert", delegate="xnnpack")
    assert choice.engine(Engine()) == Engine(3, "litert", "xnnpack")
    assert choice.engine(Engine(threads=1)) == Engine(1, "litert", "xnnpack")
    assert choice.engine(Engine(delegate="none")) == Engine(3, None, "none")
    absent = replace(choice, interpreter="tflite-runtime", delegate=None)
    assert absent.engine(Engine()).interpreter in (None, "tflite-runtime")
    onnx = replace(choice, format="onnx-fp32", interpreter=None, delegate="CPUExecutionProvider")
    assert onnx.engine(Engine()) == Engine(3, providers=("CPUExecutionProvider",))


def test_zipped_bundle_brings_its_choice_along(bundle, tmp_path, monkeypatch):
    monkeypatch.setenv("EDGE_CLASSIFY_CACHE", str(tmp_path / "cache"))
    choice = slow_choice(bundle)
    write_choice(bundle, manifest_of(bundle), this_board(), choice)
    packed = tmp_path / "bundle.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for file in bundle.rglob("*"):
            archive.write(file, file.relative_to(bundle))
    assert open_model(packed, AUTO).format == choice.format


def test_names_of_boards(tmp_path):
    assert board_name("Raspberry Pi 5", "Cortex-A76", "aarch64", 4) == (
        "Raspberry Pi 5, aarch64, 4 cores"
    )
    assert board_name(None, None, "x86_64", 1) == "unknown processor, x86_64, 1 core"
    model = tmp_path / "proc/device-tree/model"
    model.parent.mkdir(parents=True)
    model.write_bytes(b"Raspberry Pi 4 Model B Rev 1.4\0")
    assert this_board(tmp_path).startswith("Raspberry Pi 4 Model B Rev 1.4, ")
    assert this_board().endswith(f"{os.cpu_count()} cores" if os.cpu_count() != 1 else "1 core")


def test_info_shows_it(bundle):
    from edge_runtime.inspection.model import inspect_model
    from edge_runtime.inspection.text import format_inspection

    assert inspect_model(bundle, None)["choice"] is None
    write_choice(bundle, manifest_of(bundle), this_board(), slow_choice(bundle))
    report = inspect_model(bundle, None)
    assert report["choice"]["threads"] == 3
    text = format_inspection(report)
    assert f"--format auto {other(bundle).format}, 3 threads on this board" in " ".join(
        text.split()
    )
