"""``parity.html``: everything in one file, whatever classes and photos are called."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edge_runtime.manifest import ModelInfo, PreprocessSpec
from exporter import page, parity
from exporter.evidence import SHOWN_CHANGES, Examined, Truth
from exporter.page import Page, render
from exporter.thresholds import THRESHOLDS

EVIL = "<script>alert('x')</script>"


class Tags(HTMLParser):
    """Which tags open, and whether they close in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.seen.add(tag)
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def row(fmt: str = "tflite-int8", **extra: Any) -> dict[str, Any]:
    scores = np.array([[0.9, 0.1], [0.2, 0.8]])
    figures = parity.compare(fmt, scores, scores, np.array([0, 1]))
    return {
        "format": fmt,
        "file": "model",
        "bytes": 1_500_000,
        "quantization": "full integer",
        **figures,
        "calibration": None,
        "threshold": THRESHOLDS[fmt].to_dict(),
        **extra,
    }


def shown(rows: list[dict[str, Any]], **extra: Any) -> str:
    calibration = {
        "ece_before": 0.1, "ece_after": 0.02, "temperature": 1.5, "unknown_threshold": 0.4,
        "unknown_share": 0.05, "bins": 15,
    }  # fmt: skip
    return render(
        Page(
            title="t", sentence="s", mood="holds", intro="i", fitted="f.",
            reference={"accuracy": 0.9, "calibration": calibration}, rows=rows, **extra,
        )
    )  # fmt: skip


@pytest.fixture
def truth(tmp_path: Any) -> Truth:
    """Twenty photos of two classes, one of which is called like a script."""
    paths = []
    for number in range(20):
        Image.new("RGB", (40, 30), (number * 10, 90, 60)).save(tmp_path / f"{number}.png")
        paths.append(str(tmp_path / f"{number}.png"))
    return Truth(
        info=ModelInfo((EVIL, "b"), PreprocessSpec(8, 8)),
        paths=paths,
        files=[f"{EVIL}/{number}.png" for number in range(20)],
        sha256=["0" * 64] * 20,
        labels=np.zeros(20, int),
        pixels=tmp_path / "none.npy",
        pixels_sha256=["0" * 64] * 20,
        scores=np.tile(np.array([[0.9, 0.1]], np.float32), (20, 1)),
        mapped=list(range(20)),
        maps=np.ones((20, 2, 2), np.float32) * np.arange(2),
        exact=None,
        share=0.05,
        explain=lambda _: None,
    )


def test_the_real_page_needs_nothing_else(exported: SimpleNamespace) -> None:
    text = (exported.bundle / "parity.html").read_text(encoding="utf-8")
    tags = Tags()
    tags.feed(text)
    assert not tags.open
    assert not tags.seen & {"script", "link", "iframe", "object"}
    assert "default-src 'none'" in text
    links = re.findall(r"(?:src|href|url\()=?[\"']?([^\"')\s>]+)", text)
    assert links and all(link.startswith("data:image/jpeg;base64,") for link in links)
    for artifact in exported.report.artifacts:
        assert artifact["format"] in text
    assert "prefers-color-scheme: dark" in text


def test_photos_that_changed_their_mind(truth: Truth) -> None:
    """Side by side, the surest first, only some of them, and harmless."""
    scores = np.tile(np.array([[0.3, 0.7]], np.float32), (20, 1))
    scores[0], scores[7] = (0.8, 0.2), (0.01, 0.99)
    examined = {"tflite-int8": Examined({}, None, scores, {7: np.eye(2, dtype=np.float32)})}
    (found,) = page.changes(truth, examined)
    assert (found.count, found.n, len(found.cards)) == (19, 20, SHOWN_CHANGES)
    first = found.cards[0]
    assert (first.expected, first.given, first.label) == (EVIL, "b", EVIL)
    assert first.given_score == pytest.approx(0.99)
    assert [p.caption for p in first.pictures] == ["photo", f"Keras: {EVIL}", "file: b"]
    assert len(found.cards[1].pictures) == 2  # its own map was not kept
    text = shown([row()], changes=[found])
    assert "and 7 more" in text
    assert "<script" not in text and "&lt;script&gt;" in text


def test_a_photo_that_is_gone(truth: Truth, tmp_path: Any) -> None:
    (tmp_path / "0.png").unlink()
    scores = truth.scores.copy()
    scores[0] = (0.1, 0.9)
    found = page.changes(truth, {"onnx-fp32": Examined({}, None, scores, {})})
    assert "cannot be read any more" in shown([row("onnx-fp32")], changes=found)


def test_the_trail_of_the_ladder() -> None:
    rung = {
        "rung": "full int8", "accuracy": 0.541, "drop": 0.416, "drop_upper": 0.47,
        "agreement": 0.55, "n": 375, "bytes": 4_900_000, "ms": 7.0, "chosen": False,
        "reason": "the drop is above 0.5 points",
    }  # fmt: skip
    best = {**rung, "rung": "first 82 operators in float", "chosen": True, "drop": 0.0031}
    empty = {**dict.fromkeys(rung), "rung": "entropy", "chosen": False, "reason": "not needed"}
    text = shown([row(trail=[rung, best, empty], recipe={"rung": "mixed", "layers": ["stem"]})])
    assert "How tflite-int8 was quantised" in text
    for part in (
        "41.60",
        "expected: up to 47.00",
        "0.31",
        "7.0 ms",
        "4.9 MB",
        "chosen",
        "not needed",
    ):
        assert part in text
    assert "[&#34;stem&#34;]" in text
    assert "How tflite-int8" not in shown([row()])


def test_failures_and_warnings_stand_in_the_row() -> None:
    text = shown([row(failures=["This is wrong."], warnings=["This is odd."], passed=False)])
    assert "This is wrong." in text and "This is odd." in text and "poor" in text
    gone = {**row(), **parity.not_run("it died."), "file": None}
    assert "cannot run" in shown([gone])
