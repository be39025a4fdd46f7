"""A comparison of two runs as text for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..data.folders import listing
from ..report.text import table
from .compare import SIGNIFICANT

#: Photos that changed for better, and for worse, that are listed.
_SHOWN = 20


def format_comparison(result: Mapping[str, Any]) -> str:
    """What :func:`trainer.evaluation.compare.compare_runs` found, as lines."""
    a, b, test = result["a"], result["b"], result["mcnemar"]
    lines = [f"{result['n']} photos that both answer"]
    lines += [f"  left out: {n} {why}" for why, n in result["left_out"].items()]
    for key, side in (("only_a", a), ("only_b", b)):
        if result["classes"][key]:
            lines.append(f"  only {side['run']} knows {listing(result['classes'][key])}")
    lines += [_side("A", a), _side("B", b)]
    difference = result["difference"]
    lines.append(
        f"B - A: {difference['value']:+.1%} (95 % interval {difference['low']:+.1%} to "
        f"{difference['high']:+.1%}); {test['better']} photos better, {test['worse']} worse, "
        f"McNemar p = {test['p_value']:.3g}: {verdict(result)}"
    )
    lines += ["", *_classes(result["per_class"])]
    for change in ("better", "worse"):
        rows = [row for row in result["changed"] if row["change"] == change]
        lines += ["", f"{change} in B: {len(rows)}"] if rows else []
        lines += [f"  {r['path']}: {r['label']}, A {r['a']}, B {r['b']}" for r in rows[:_SHOWN]]
        lines += (
            [f"  and {len(rows) - _SHOWN} more; --json lists all"] if len(rows) > _SHOWN else []
        )
    if result["config"]:
        lines += ["", "configuration, A -> B:"]
        lines += [f"  {key}: {old} -> {new}" for key, (old, new) in result["config"].items()]
    return "\n".join(lines)


def verdict(result: Mapping[str, Any]) -> str:
    """What the paired test says, in words."""
    if result["mcnemar"]["p_value"] >= SIGNIFICANT:
        return "no difference that these photos can show"
    return "B is better" if result["difference"]["value"] > 0 else "A is better"


def _side(letter: str, side: Mapping[str, Any]) -> str:
    interval = side["accuracy_interval"]
    found = [
        f"{letter}  {side['run']}: accuracy {side['accuracy']:.1%} ({side['right']} right, 95 % "
        f"interval {interval['low']:.1%} to {interval['high']:.1%})",
        f"{side['size']} pixels",
        f"{side['bytes'] / 1e6:.1f} MB",
    ]
    if side["epochs"] is not None:
        found.append(f"{side['epochs']} epochs")
    if side["seconds"] is not None:
        found.append(f"{side['seconds']:.0f} s")
    return ", ".join(found)


def _classes(per_class: Mapping[str, Mapping[str, Any]]) -> list[str]:
    rows = []
    for name, row in per_class.items():
        recalls = (row[key] for key in ("recall_a", "recall_b"))
        shares = ("-" if share is None else f"{share:.1%}" for share in recalls)
        rows.append((name, row["support"], *shares, row["better"], row["worse"]))
    return table(("class", "photos", "recall A", "recall B", "better", "worse"), rows)
