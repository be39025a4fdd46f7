"""The configuration: defaults, order of the sources, and what a mistake is answered with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from edge_runtime.errors import UsageError
from edge_runtime.manifest import PreprocessSpec
from trainer.cli import cli
from trainer.config.comments import allowed_values, commented_yaml, field_comments
from trainer.config.io import (
    dump_config,
    find_config,
    load_config,
    parse_assignment,
    preset_names,
)
from trainer.config.schema import (
    AugmentConfig,
    Config,
    DataConfig,
    FullConfig,
    HeadConfig,
    ImageConfig,
)
from trainer.config.types import Section
from trainer.network.backbones import BACKBONES


def write(folder: Path, text: str) -> Path:
    file = folder / "own.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_defaults_are_those_of_the_commands() -> None:
    config = load_config()
    assert config == Config()
    assert config.model.backbone in BACKBONES
    assert (config.model.weights, config.image.size, config.batch_size) == ("imagenet", None, 32)
    assert (config.head.epochs, config.finetune.epochs, config.seed) == (8, 10, 0)


def test_file_then_options_then_assignments(tmp_path: Path) -> None:
    file = write(tmp_path, "head: {epochs: 1, learning_rate: 1e-3}\nseed: 1\nbatch_size: 4\n")
    config = load_config(file, {"seed": 2, "batch_size": None, "image.size": 64}, ["seed=3"])
    assert (config.seed, config.batch_size, config.image.size) == (3, 4, 64)
    assert (config.head.epochs, config.head.learning_rate) == (1, 0.001)
    assert config.head.views == Config().head.views


def test_written_out_and_read_again(tmp_path: Path) -> None:
    config = load_config(
        None, None, ["mixed_precision=off", "augment.area=[0.8, 1]", "model.weights=none"]
    )
    text = dump_config(config)
    assert load_config(write(tmp_path, text)) == config
    assert all(f"\n  {key}:" in text for key in type(config.callbacks).model_fields)


def test_sections_may_be_empty(tmp_path: Path) -> None:
    assert load_config(write(tmp_path, "")) == Config()
    assert load_config(write(tmp_path, "head:\nfinetune: {}\n")) == Config()


def test_a_section_may_be_assigned_in_parts() -> None:
    config = load_config(None, {"head.views": 2}, ["head={epochs: 3}"])
    assert (config.head.views, config.head.epochs) == (2, 3)


def test_presets() -> None:
    assert "demo" in preset_names()
    for name in preset_names():
        assert find_config(name).is_file()
        load_config(name)
    assert set(preset_names()) == {"balanced", "best", "demo", "fast", "tiny-data"}
    assert load_config("balanced") == Config(), "which it writes out to explain it"
    demo = load_config("demo")
    assert demo.from_scratch, "the demo runs without a network"
    assert not demo.augment.flip, "a mirrored digit is none"


def test_a_file_goes_over_the_preset(tmp_path: Path) -> None:
    file = write(tmp_path, "head: {epochs: 2}\naugment: {level: none, flip: true}\nfull:\n")
    config = load_config(file, {"seed": 3}, preset="demo")
    assert (config.head.epochs, config.full.epochs, config.seed) == (2, 14, 3)
    assert (config.augment.flip, config.augment.rotation) == (True, 0), "the level, then its key"
    with pytest.raises(UsageError, match=r"no preset 'bset'. Did you mean best\?"):
        load_config(preset="bset")
    with pytest.raises(UsageError, match=r"no preset .*own.yaml'. Name a file with --config"):
        load_config(preset=str(file))


def test_a_file_goes_before_a_preset(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").write_text("seed: 7", encoding="utf-8")
    assert load_config("demo").seed == 7


SECTIONS = [Config, *(type(value) for _, value in Config() if isinstance(value, Section))]


@pytest.mark.parametrize("section", SECTIONS, ids=[kind.__name__ for kind in SECTIONS])
def test_every_key_is_explained_where_it_stands(section: type[Section]) -> None:
    comments = field_comments(section)
    assert list(comments) == list(section.model_fields)
    for name, comment in comments.items():
        assert comment.endswith("."), f"{section.__name__}.{name}"
        assert "`" not in comment
        if section is not Config:
            assert allowed_values(section, name), name


def test_a_comment_is_found_in_the_base_class_and_goes_over_it() -> None:
    assert field_comments(HeadConfig)["epochs"].startswith("Passes over the training photos")
    assert field_comments(FullConfig)["epochs"].startswith("null: those of head and finetune")


@pytest.mark.parametrize(
    ("section", "name", "text"),
    [
        (ImageConfig, "size", "a whole number, 32 to 2048, or null"),
        (ImageConfig, "fit", "crop, stretch or pad"),
        (HeadConfig, "learning_rate", "a number, above 0, up to 10"),
        (HeadConfig, "warmup_epochs", "a number, 0 or more"),
        (HeadConfig, "ema", "a number, 0 to below 1"),
        (AugmentConfig, "flip", "true or false"),
        (AugmentConfig, "area", "[x, y], each a number, above 0"),
        (DataConfig, "ratios", "a list, each a number, 0 to 1"),
    ],
)
def test_allowed_values_in_words(section: type[Section], name: str, text: str) -> None:
    assert allowed_values(section, name) == text


@pytest.mark.parametrize("preset", [None, *preset_names()])
def test_the_commented_file_holds_the_same_configuration(preset: str | None, tmp_path) -> None:
    config = load_config(None, {"mixed_precision": "off", "seed": 3}, preset=preset)
    text = commented_yaml(config, "a title")
    assert load_config(write(tmp_path, text)) == config
    lines = text.splitlines()
    assert lines[0] == "# a title"
    assert max(map(len, lines)) <= 92
    keys = [number for number, line in enumerate(lines) if line and "#" not in line]
    assert all(lines[number - 1].lstrip().startswith("# ") for number in keys)
    assert len(keys) == sum(len(kind.model_fields) for kind in SECTIONS)


def run_config(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["config", *arguments], prog_name="edge-train")


def test_the_command_prints_what_it_would_write(tmp_path: Path) -> None:
    printed = run_config("--preset", "fast", "--set", "seed=4")
    file = tmp_path / "own.yaml"
    written = run_config("--preset", "fast", "--set", "seed=4", "--out", str(file))
    assert (written.exit_code, written.stdout) == (0, "")
    assert file.read_text() == printed.stdout
    assert load_config(file) == load_config("fast", {"seed": 4})
    assert run_config("--out", str(file)).exit_code == 2
    assert run_config("--out", str(file), "--overwrite").exit_code == 0
    assert load_config(file) == Config()


def test_the_command_as_json_and_resolved() -> None:
    plain = json.loads(run_config("--json").stdout)
    assert plain == Config().model_dump(mode="json")
    resolved = json.loads(run_config("--json", "--resolved", "--preset", "best").stdout)
    assert (plain["image"]["size"], resolved["image"]["size"]) == (None, 224)
    assert resolved["model"]["fine_tune_at"] == BACKBONES["efficientnetb0"].fine_tune_at


def test_the_command_lists_the_presets() -> None:
    listed = json.loads(run_config("--list", "--json").stdout)["presets"]
    assert [row["name"] for row in listed] == preset_names()
    lines = run_config("--list").stdout.splitlines()
    for row, line in zip(listed, lines, strict=True):
        first = find_config(row["name"]).read_text().splitlines()[0]
        assert first == f"# {row['summary']}"
        assert line.split(maxsplit=1) == [row["name"], row["summary"]]
    assert run_config("--list", "--preset", "best").exit_code == 2


@pytest.mark.parametrize(
    ("assignment", "parts"),
    [
        ("head.epoch=3", ["'head.epoch'", "Did you mean epochs?", "learning_rate, warmup_epochs"]),
        ("backbone=resnet50", ["'backbone'", "Did you mean model.backbone?", "Valid keys: data,"]),
        ("sed=1", ["'sed'", "Did you mean seed?"]),
        ("hed.epochs=1", ["'hed'", "Did you mean head?"]),
        ("head.lr=1", ["'head.lr'", "Did you mean learning_rate?"]),
        ("model.size=64", ["'model.size'", "Did you mean image.size?"]),
        ("model.head.epochs=1", ["'model.head'", "Did you mean head?"]),
        ("augment.epochs=1", ["Did you mean head.epochs, finetune.epochs or full.epochs?"]),
        ("callbacks.patience=1", ["mean plateau_patience or early_stopping_patience?"]),
        ("evaluation.precison=1", ["Did you mean precision?"]),
        ("cache.limit=1", ["Did you mean limit_gb?"]),
        ("loss.gamma=1", ["Did you mean focal_gamma?"]),
        ("zzz=1", ["'zzz'", "Valid keys: data, image, model"]),
        ("head.epochs=many", ["head.epochs: expected a valid integer, found 'many'"]),
        ("head.epochs=true", ["head.epochs", "integer, found True"]),
        ("head.epochs=-1", ["head.epochs", "expected greater than or equal to 0, found -1"]),
        ("head.epochs.deep=1", ["head.epochs", "found {'deep': 1}"]),
        ("head=3", ["head: expected a section with the keys epochs, learning_rate"]),
        ("image.size=31", ["image.size", "greater than or equal to 32, found 31"]),
        ("image.fit=crp", ["image.fit: expected 'crop', 'stretch' or 'pad', found 'crp'"]),
        ("finetune.learning_rate=.nan", ["finetune.learning_rate", "found nan"]),
        ("finetune.learning_rate=false", ["finetune.learning_rate", "a number", "found False"]),
        ("augment.area=[1, 0.5]", ["augment.area", "first number is above the second"]),
        ("augment.ratio=1", ["augment.ratio", "found 1"]),
        ("data.ratios=[0.5, 0.5]", ["data.ratios: expected three shares", "found [0.5, 0.5]"]),
        ("data.ratios=[0.8, 0, 0.2]", ["data.ratios", "those of train and val above 0"]),
        ("data.ratios=[0.5, 0.4, 0.2]", ["data.ratios", "shares that add up to 1"]),
        ("data.group_by='('", ["data.group_by: no regular expression: missing )", "found '('"]),
        ("mixed_precision=8", ["mixed_precision: expected 'auto', 'on', 'off', 'float16' or"]),
        ("model.weights=null", ["model.weights: expected a valid string, found None"]),
        ("head.epochs", ["--set head.epochs: expected key=value"]),
        ("=3", ["--set =3: expected key=value"]),
        ("augment.area=[1", ["--set augment.area=[1", "not a YAML value"]),
    ],
)
def test_mistakes_on_the_command_line(assignment: str, parts: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        load_config(None, None, [assignment])
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("head: {epoch: 3}", ["own.yaml: unknown key 'head.epoch'. Did you mean epochs?"]),
        ("- a\n- b", ["own.yaml, line 1: expected sections", "found a list"]),
        ("just text", ["own.yaml, line 1: expected sections", "found a str"]),
        ("seed: 1\nhead: {epochs: 3\n", ["own.yaml, line 3: not valid YAML"]),
        ("seed: 1\nhead:\n\tepochs: 3\n", ["own.yaml, line 3: not valid YAML"]),
        ("seed: \x07", ["own.yaml: not valid YAML"]),
        ("seed: 1\nseed: x", ["own.yaml: seed: expected a valid integer, found 'x'"]),
        ("1: 2", ["own.yaml: unknown key '1'"]),
    ],
)
def test_mistakes_in_a_file(tmp_path: Path, text: str, parts: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        load_config(write(tmp_path, text))
    for part in parts:
        assert part in str(caught.value)


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_bytes(b"seed: 1\nhead: \xff\n")
    with pytest.raises(UsageError, match=r"own.yaml, line 2: not UTF-8 text"):
        load_config(file)


def test_all_mistakes_of_a_file_at_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        load_config(write(tmp_path, "sed: 1\nhead: {epochs: x}\n"))
    assert str(caught.value).count("own.yaml: ") == 2


def test_no_such_file_or_preset(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"demi: no such file, nor a preset. Did you mean demo\?"):
        load_config("demi")
    with pytest.raises(UsageError, match="is a folder"):
        load_config(tmp_path)


@pytest.mark.parametrize(
    ("assignments", "ok"),
    [
        (["head.epochs=0", "finetune.epochs=0"], False),
        (["head.epochs=0"], True),
        (["model.weights=none", "head.epochs=0", "finetune.epochs=0"], False),
        (["model.weights=none", "head.epochs=0", "finetune.epochs=0", "full.epochs=1"], True),
        (["model.weights=none", "full.epochs=0"], False),
    ],
)
def test_there_must_be_something_to_train(assignments: list[str], ok: bool) -> None:
    if ok:
        load_config(None, None, assignments)
    else:
        with pytest.raises(UsageError, match="no epoch to train"):
            load_config(None, None, assignments)


def test_epochs_from_scratch() -> None:
    """Without weights, phase 1 is left out and its epochs go to the one phase that remains."""
    both = load_config(None, None, ["model.weights=none", "head.epochs=2", "finetune.epochs=3"])
    assert both.full_epochs == 5
    assert load_config(None, None, ["full.epochs=4"]).full_epochs == 4


def test_the_rule_that_travels_with_the_model() -> None:
    config = load_config(None, None, ["image={size: 96, fit: pad, kernel: bicubic}"])
    assert config.image.spec() == PreprocessSpec(96, 96, fit="pad", kernel="bicubic")


def test_assignments_are_yaml() -> None:
    assert parse_assignment("a.b=[1, x]") == ("a.b", [1, "x"])
    assert parse_assignment("a= none ") == ("a", "none")
    assert parse_assignment("a=b=c") == ("a", "b=c")


def test_nothing_changes_afterwards() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Config().seed = 1  # type: ignore[misc]
