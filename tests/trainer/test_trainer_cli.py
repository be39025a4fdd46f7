"""``edge-train`` as it is typed: what stands on stdout, the exit codes, the messages."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from edge_runtime.backends.full_model import load_keras_model
from edge_runtime.console import EdgeCommand
from edge_runtime.errors import UsageError
from edge_runtime.rundir import RunDir, unfinished
from trainer.cli import cli
from trainer.commands.fit import summarize
from trainer.commands.options import KEYS
from trainer.commands.split import parse_ratios

TINY = (
    *("--backbone", "mobilenetv3small", "--weights", "none", "--image-size", 32),
    *("--batch-size", 16, "--head-epochs", 1, "--finetune-epochs", 1),
)


def run(*arguments: object) -> Result:
    """Run edge-train in this process."""
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def process(*arguments: object, **options: object) -> subprocess.Popen[str]:
    """Run edge-train in a process of its own, which knows the backbone ``tiny``."""
    script = "import tiny; tiny.install(); from trainer.cli import cli; cli()"
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent)},
        **options,
    )


def commands() -> list[tuple[str, click.Command]]:
    return sorted(cli.commands.items())


@pytest.mark.parametrize(("name", "command"), commands())
def test_every_command_has_help_and_an_example(name: str, command: click.Command) -> None:
    assert isinstance(command, EdgeCommand)
    assert command.example.startswith(f"edge-train {name} ")
    result = run(name, "--help")
    assert result.exit_code == 0
    assert command.example in result.output
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{name} {parameter.name}"


@pytest.mark.parametrize(("name", "command"), commands())
def test_examples_can_be_parsed(name: str, command: click.Command) -> None:
    words = command.example.split()[2:]
    command.make_context(name, words, resilient_parsing=False)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory, make_photos) -> tuple[Path, Result]:
    """A real backbone, all the way, with --json."""
    root = tmp_path_factory.mktemp("cli")
    make_photos(root / "photos", ("green", "red stripes"), count=12)
    arguments = ("fit", root / "photos", "--out", root / "runs" / "one", *TINY, "--json")
    return root, run(*arguments, "--set", "data.ratios=[0.5, 0.25, 0.25]", "--seed", 3)


def test_fit_prints_one_json_object(fitted: tuple[Path, Result]) -> None:
    root, result = fitted
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert set(found) == {"run", "val", "test"}
    assert found["run"] == str(root / "runs" / "one")
    opened = RunDir.open(found["run"])
    metrics = opened.metrics()
    assert {part: found[part] for part in ("val", "test")} == {
        part: metrics[part] for part in ("val", "test")
    }
    assert found["test"]["n"] == 6
    assert {"precision", "recall", "f1"} <= set(found["val"]["per_class"]["green"])


def test_options_reach_the_configuration(fitted: tuple[Path, Result]) -> None:
    text = (fitted[0] / "runs" / "one" / "config.yaml").read_text()
    for line in ("seed: 3", "batch_size: 16", "  size: 32", "  weights: none", "  - 0.25"):
        assert line in text.splitlines()


def test_the_run_answers_as_its_metrics_say(fitted: tuple[Path, Result]) -> None:
    """Photo by photo through the runtime's own door: accuracy counted equals the one written."""
    from edge_runtime.classifier import Classifier

    opened = RunDir.open(fitted[0] / "runs" / "one")
    classifier = Classifier.open(str(opened.path))
    rows = opened.split("test")
    right = sum(classifier.classify(row.path).label == row.label for row in rows)
    assert right / len(rows) == opened.metrics()["test"]["accuracy"]
    assert load_keras_model(opened.model_path).output_shape == (None, 2)


def test_evaluate_prints_a_table_or_json(fitted: tuple[Path, Result], tmp_path: Path) -> None:
    root, _ = fitted
    text = run("evaluate", root / "runs" / "one", root / "photos")
    assert text.exit_code == 0, text.stderr
    assert "accuracy" in text.stdout
    assert "red stripes" in text.stdout
    out = tmp_path / "figures.json"
    result = run("evaluate", root / "runs" / "one", root / "photos", "--json", "--out", out)
    found = json.loads(result.stdout)
    assert found["n"] == 24
    assert json.loads(out.read_text()) == found
    again = run("evaluate", root / "runs" / "one", root / "photos", "--out", out)
    assert again.exit_code == 2
    assert "--overwrite" in again.stderr


def test_sample_and_split(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    result = run("sample", "digits", tmp_path / "digits", "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["folder"] == str(tmp_path / "digits")
    assert sum(sum(part.values()) for part in found["counts"].values()) == 1797
    source = tmp_path / "digits" / "test"
    ratios = ("--ratios", "0.5,0.25,0.25", "--seed", 1)
    result = run("split", source, tmp_path / "split", *ratios)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith(f"{tmp_path / 'split'}: train ")
    assert (tmp_path / "split" / "val" / "7").is_dir()


@pytest.mark.parametrize("text", ["0.8,0.2", "0.8,0.1,x", "", "1,2,3,4"])
def test_ratios_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="expected three numbers"):
        parse_ratios(text)


def test_summary_without_a_test_part() -> None:
    metrics = {"val": {"accuracy": 0.75, "n": 4}, "test": None}
    assert summarize("runs/x", metrics) == "runs/x: validation accuracy 75.0% (3 of 4)"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "head.epoch=3"], "unknown key 'head.epoch'. Did you mean epochs?"),
        (["--backbone", "resnet"], "Unknown backbone 'resnet'. Did you mean resnet50?"),
        (["--weights", "nowhere.h5"], "nowhere.h5: no such file."),
        (["--config", "nowhere.yaml"], "nowhere.yaml: no such file, nor a preset."),
        (["--image-size", "16"], "image.size: expected greater than or equal to 32, found 16"),
        (["--fine-tune-at", "-1"], "model.fine_tune_at"),
        (["--batch-size", "many"], "'many' is not a valid integer"),
    ],
)
def test_mistakes_are_usage_errors(arguments: list[str], message: str, tmp_path: Path) -> None:
    result = run("fit", tmp_path, "--out", tmp_path / "run", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_weights_that_cannot_be_downloaded(tmp_path: Path, make_photos, monkeypatch) -> None:
    pytest.importorskip("tensorflow")
    from keras.src.applications import mobilenet_v3

    def get_file(*_, **__):
        print("Downloading data from https://example.org")  # noqa: T201 - as Keras does
        raise Exception("URL fetch failure on https://example.org: None -- no route")  # noqa: TRY002

    monkeypatch.setattr(mobilenet_v3.file_utils, "get_file", get_file)
    make_photos(tmp_path / "photos", count=4)
    options = ("--backbone", "mobilenetv3small", "--image-size", 32, "--json")
    result = run("fit", tmp_path / "photos", "--out", tmp_path / "run", *options)
    assert result.exit_code == 5
    assert "--weights none" in result.stderr
    assert "Downloading data" in result.stderr
    assert result.stdout == "", "nothing but JSON on stdout"
    assert not (tmp_path / "run").exists()


def test_ctrl_c_while_training(tmp_path: Path, make_photos) -> None:
    """The real signal in a real process: 130, and how to go on from the last whole epoch."""
    make_photos(tmp_path / "photos", ("green", "red stripes"), count=20)
    out = tmp_path / "runs" / "run"
    fit = process(
        *("fit", tmp_path / "photos", "--out", out, *TINY, "--backbone", "tiny"),
        *("--set", "full.epochs=10000"),  # more than it gets to before the signal arrives
        *("--set", "callbacks.early_stopping_patience=0"),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert fit.stderr is not None
    lines = []
    for line in fit.stderr:
        lines.append(line)
        if line.startswith("full "):  # the first epoch is over
            break
    else:
        pytest.fail("".join(lines))
    time.sleep(0.3)
    os.kill(fit.pid, signal.SIGINT)
    stdout, stderr = fit.communicate(timeout=300)
    text = "".join(lines) + stderr
    assert fit.returncode == 130, text
    assert stdout == ""
    assert "Stopping after this batch" in text
    assert f"Go on with: edge-train fit --resume {out}" in text
    assert "error: interrupted." in text
    assert "Traceback" not in text
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["run.unfinished"]
    assert (tmp_path / "runs" / "run.unfinished" / "checkpoints" / "full.weights.h5").is_file()
    early = run("evaluate", out, tmp_path / "photos")
    assert early.exit_code == 2
    assert f"edge-train fit --resume {out}" in early.stderr


def command_in(text: str) -> list[str]:
    """The words of the command that a message ends with, as a shell takes them."""
    return shlex.split(text[text.rindex("edge-train ") :])[1:]


def test_commands_in_messages_can_be_copied(tmp_path: Path, make_photos) -> None:
    """Folders whose names have a blank and a quote."""
    root = tmp_path / "Anna's photos"
    make_photos(root / "train", ("green", "red stripes"), count=4)
    out = tmp_path / "Anna's run"
    refused = run("fit", root, "--out", out).stderr
    assert command_in(refused) == ["split", str(root / "train"), "NEW_FOLDER"]
    (root / "train" / "green" / "cut.jpg").write_bytes(b"")
    moved = run("check", root / "train", "--quarantine", tmp_path / "to look at").stdout
    assert command_in(moved) == ["check", "--undo", str(tmp_path / "to look at")]
    unfinished(out).mkdir()
    stopped = run("evaluate", out, root / "train").stderr
    assert command_in(stopped) == ["fit", "--resume", str(out)]
    begun = run("fit", root / "train", "--out", out, *TINY).stderr
    assert command_in(begun) == ["fit", "--resume", str(out)]


def test_help_is_quick_and_loads_nothing_heavy() -> None:
    script = (
        "import sys; from trainer.cli import cli\n"
        "try: cli(['fit', '--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'tensorflow', 'keras', 'pydantic', 'yaml', 'sklearn', 'matplotlib', 'cv2'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.stderr.strip() == "[]"
    assert "--finetune-epochs" in done.stdout


def test_the_package_offers_its_functions_lazily() -> None:
    script = (
        "import sys, trainer\n"
        "from trainer import create_train_val_test_split\n"
        "assert callable(create_train_val_test_split)\n"
        "assert not {'tensorflow', 'keras', 'pydantic'} & set(sys.modules)\n"
        "assert set(trainer.__all__) == {'Config', 'create_train_val_test_split', 'fit',"
        " 'load_config'}\n"
        "try: trainer.nothing\n"
        "except AttributeError as error: assert 'nothing' in str(error)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parents[2])


@pytest.mark.parametrize("name", ["fit", "crossval"])
def test_commands_that_train_share_their_options(name: str) -> None:
    """Each of them has an option for every key, and no two options of one name."""
    options = [p.name for p in cli.commands[name].params if isinstance(p, click.Option)]
    assert {"preset", "config", "assignments", *KEYS} <= set(options)
    assert len(set(options)) == len(options)


def test_every_option_of_fit_stands_for_a_key() -> None:
    from trainer.config.schema import Config

    for key in KEYS.values():
        section, _, name = key.rpartition(".")
        fields = Config.model_fields[section].annotation.model_fields if section else None
        assert name in (Config.model_fields if fields is None else fields)
