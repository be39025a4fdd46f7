"""The package as a library: names, types from outside, and examples that run."""

from __future__ import annotations

import doctest
import importlib.util
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from color_model import ColorModels, paint

import edge_runtime
from edge_runtime import classifier

ROOT = Path(__file__).parents[2]

#: What somebody writes who has the package installed, mypy and no knowledge of its inside.
USER_CODE = """
from collections.abc import Iterator

import numpy as np
from PIL import Image

from edge_runtime import Classifier, EdgeError, Engine, Explanation, ModelSettings, Prediction, Roi

HALF: Roi = (0.0, 0.0, 0.5, 1.0)


def best(model: str, photo: bytes) -> str | None:
    with Classifier.open(model, engine=Engine(threads=2), settings=ModelSettings()) as classifier:
        answer: Prediction = classifier.classify(photo, 3, roi=HALF, explain=True)
        explanation: Explanation | None = answer.explanation
        if explanation is not None:
            print(explanation.heatmap.max(), explanation.label)
        array = classifier.classify(np.zeros((4, 4, 3), np.uint8))
        picture = classifier.classify(Image.new("RGB", (4, 4)))
        print(array.score, picture.top[0][0])
        return answer.label


def labels(classifier: Classifier, photos: list[str]) -> Iterator[str]:
    try:
        for answer in classifier.classify_many(photos, batch=None, workers=2):
            yield answer.label or answer.error or ""
    except EdgeError as error:
        print(error.exit_code)
    classifier.close()
"""

#: Mistakes that the types have to show, line by line.
WRONG_CODE = """
from edge_runtime import Classifier
classifier = Classifier.open("bundle")
classifier.classify(5)
score: str = classifier.classify("photo.jpg").score
classifier.classify_many("photo.jpg", roi=(0, 1))
"""


@pytest.fixture
def here(color_models: ColorModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a bundle and a photo, which the examples run in."""
    os.symlink(color_models.bundle, tmp_path / "bundle")
    paint(tmp_path / "photo.jpg", (255, 0, 0))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_names() -> None:
    """What a user may import from the top; less would break somebody."""
    assert edge_runtime.__all__ == [
        "__version__", "Bundle", "Classifier", "EdgeError", "Engine", "Explanation", "ModelInfo",
        "ModelSettings", "Photo", "Prediction", "PreprocessSpec", "Roi",
    ]  # fmt: skip
    for name in edge_runtime.__all__:
        assert getattr(edge_runtime, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        edge_runtime.nothing  # noqa: B018


@pytest.mark.usefixtures("here")
def test_examples_of_the_docstrings() -> None:
    result = doctest.testmod(classifier)
    assert result.attempted >= 8 and result.failed == 0


@pytest.mark.usefixtures("here")
def test_examples_of_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("    ") or not line.strip()]
    code = textwrap.dedent("\n".join(lines))
    assert code.count("Classifier.open(") == 3, "the page that this test is for"
    exec(compile(code, "python.md", "exec"), {})
    out = capsys.readouterr().out.splitlines()
    label, score, unknown, _ = out[0].split(" ", 3)
    assert (label, unknown) == ("red", "None") and float(score) > 0.999
    assert out[0].count("'") == 2 * 3, "three classes"
    assert out[1] == "(32, 32)", "the map of the colour model is as large as its input"
    assert out[2].startswith("photo.jpg red ")
    assert out[3] == "missing.jpg: no such file."
    assert out[4] == "nowhere: no such model. 2"


@pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="mypy is not installed")
def test_types_from_outside(tmp_path: Path) -> None:
    """As a user's own strict check sees the package, with none of the settings in setup.cfg."""
    good, wrong = tmp_path / "user_code.py", tmp_path / "wrong_code.py"
    good.write_text(USER_CODE)
    wrong.write_text(WRONG_CODE)
    # A link into a folder of its own: mypy must find the package, not be told to check it.
    site = tmp_path / "site"
    site.mkdir()
    os.symlink(ROOT / "edge_runtime", site / "edge_runtime")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--follow-imports=silent",
         f"--cache-dir={tmp_path / 'cache'}", str(good), str(wrong)],
        capture_output=True, text=True, check=False, cwd=tmp_path,
        env=os.environ | {"MYPYPATH": str(site)},
    )  # fmt: skip
    errors = [line for line in done.stdout.splitlines() if "error:" in line]
    assert [line.partition(": ")[0] for line in errors] == [
        f"{wrong.name}:{line}" for line in (4, 5, 6)
    ], done.stdout + done.stderr
    assert (ROOT / "edge_runtime" / "py.typed").is_file()
