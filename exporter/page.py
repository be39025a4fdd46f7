"""``parity.html``: the proof for people, in one file that needs no network and no script.

A Jinja template with escaping on, since classes and photos may be called anything; pictures are
data URIs, and a content security policy forbids whatever else the page could load.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime import pages
from edge_runtime.errors import ImageError
from edge_runtime.pictures import Picture, covered, picture, thumbnail

from .evidence import SHOWN_CHANGES, Examined, Truth
from .report import verdict

_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Card:
    """A photo that a file answers otherwise than the Keras model."""

    file: str
    label: str  #: true class
    expected: str  #: the model's answer
    expected_score: float
    given: str  #: the file's answer
    given_score: float
    pictures: list[Picture]  #: photo, the model's heat map, the file's; what is known of them


@dataclass(frozen=True)
class Changes:
    """The photos that changed their mind in one file."""

    format: str
    count: int
    n: int
    cards: list[Card]


@dataclass(frozen=True)
class Page:
    """What the page shows."""

    title: str
    sentence: str  #: the verdict
    mood: str  #: ``holds``, ``warns`` or ``fails``
    intro: str  #: which photos
    fitted: str  #: where temperatures and thresholds come from, a sentence
    reference: Mapping[str, Any]  #: of ``parity.json``
    rows: Sequence[Mapping[str, Any]]  #: of ``parity.json``
    default: str | None = None
    notes: Sequence[str] = ()
    changes: Sequence[Changes] = ()
    golden: Sequence[Picture] = ()
    facts: Sequence[tuple[str, str]] = ()  #: where it comes from
    calibration: Mapping[str, Any] = field(default_factory=dict)  #: of the manifest


def write_page(page: Page, file: Path, overwrite: bool = True) -> None:
    """Write the page.

    Raises:
        MissingComponent: Jinja is not installed.
        OutputExists: The file exists and ``overwrite`` is false.
    """
    pages.write(render(page), file, overwrite)


def check_page() -> None:
    """Raise MissingComponent unless a page can be made."""
    _environment()


def render(page: Page) -> str:
    """The page as text.

    Raises:
        MissingComponent: Jinja is not installed.
    """
    environment = _environment()
    environment.filters |= {
        "tiny": lambda value: _or_dash(value, lambda v: f"{v:.1e}" if v < 1e-3 else f"{v:.4f}"),
        "size": lambda value: _or_dash(value, lambda v: f"{v / 1e6:.1f} MB"),
        "points": lambda value: _or_dash(value, lambda v: f"{100 * v:.2f}"),
        "limits": limits,
        "verdict": verdict,
        "mood": mood,
        "plain": _plain,
        "sentence": lambda text: f"{text[:1].upper()}{text[1:]}.",
    }
    style = pages.style(_TEMPLATES / "parity.css")
    return str(environment.get_template("parity.html.j2").render(p=page, style=style))


def changes(truth: Truth, examined: Mapping[str, Examined]) -> list[Changes]:
    """The photos whose answer changed, by file, each under both heat maps.

    Args:
        truth: The photos, and what the Keras model says.
        examined: By format.
    """
    found = []
    for fmt, result in examined.items():
        if result.scores is None:
            continue
        answers = result.scores.argmax(axis=1)
        others = np.flatnonzero(answers != truth.answers)
        # As exporter.worker chooses: the surest first.
        order = others[np.argsort(-result.scores[others].max(axis=1), kind="stable")]
        own = result.own or {}
        chosen = [*own, *(int(i) for i in order if int(i) not in own)][:SHOWN_CHANGES]
        if len(others):
            cards = [_card(truth, result, index) for index in chosen]
            found.append(Changes(fmt, len(others), len(truth), cards))
    return found


def golden_pictures(folder: Path, photos: Sequence[Mapping[str, Any]]) -> list[Picture]:
    """Pictures of the golden photos.

    Args:
        folder: ``golden/`` of the bundle.
        photos: Entries of ``golden.json``.
    """
    found = []
    for entry in photos:
        caption = f"{entry['label']}, Keras {entry['scores']['keras'][entry['class_index']]:.1%}"
        image = thumbnail(folder / entry["file"])
        found.append(picture(image, f"golden photo of {entry['label']}", caption))
    return found


def limits(threshold: Mapping[str, Any]) -> str:
    """A format's thresholds as a sentence."""
    found = []
    if "max_abs_diff" in threshold:
        found.append(f"difference at most {np.format_float_positional(threshold['max_abs_diff'])}")
    if "min_agreement" in threshold:
        found.append(f"same answer on at least {threshold['min_agreement']:.0%}")
    if "min_heatmap_correlation" in threshold:
        found.append(f"heat maps from {threshold['min_heatmap_correlation']:g}")
    return f"Wanted: {', '.join(found)}." if found else ""


def mood(row: Mapping[str, Any]) -> str:
    """Class of a row's verdict in the style sheet."""
    if row["passed"]:
        return "warn" if row["warnings"] or row.get("changes") else "good"
    return "warn" if row.get("missing") else "bad"


def _card(truth: Truth, result: Examined, index: int) -> Card:
    names, spec = truth.info.class_names, truth.info.preprocess
    expected = int(truth.answers[index])
    scores = result.scores
    if scores is None:
        raise ValueError("a file that did not run has no photo that changed its mind")
    given = int(scores[index].argmax())
    pictures: list[Picture | None] = []
    try:
        photo = thumbnail(truth.paths[index])
    except ImageError:
        photo = None
    if photo is not None:
        pictures = [
            picture(photo, f"photo labelled {names[truth.labels[index]]}", "photo"),
            covered(
                photo,
                truth.heat(index),
                spec,
                f"what speaks for {names[expected]} in the Keras model",
                f"Keras: {names[expected]}",
            ),
            covered(
                photo,
                (result.own or {}).get(index),
                spec,
                f"what speaks for {names[given]} in the file",
                f"file: {names[given]}",
            ),
        ]
    return Card(
        file=truth.files[index],
        label=names[truth.labels[index]],
        expected=names[expected],
        expected_score=float(truth.scores[index, expected]),
        given=names[given],
        given_score=float(scores[index, given]),
        pictures=[found for found in pictures if found is not None],
    )


def _or_dash(value: Any, text: Any) -> str:
    return "—" if value is None else str(text(value))


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _environment() -> Any:
    return pages.environment(_TEMPLATES, "verify", "write the page")
