"""What a stream came to, in a sentence for people."""

from __future__ import annotations

from typing import Any


def summarize(summary: dict[str, Any]) -> str:
    """One or two lines out of :meth:`Status.summary <edge_runtime.stream.status.Status.summary>`."""
    parts = [
        f"{summary['frames']} frames in {summary['seconds']:.1f} s, "
        f"{summary['results']} answered ({summary['mean_fps']:.1f} a second)"
    ]
    for name, said in (
        ("dropped", "dropped for newer ones"),
        ("skipped", "skipped as asked"),
        ("corrupt", "damaged"),
        ("inference_failures", "failed inferences"),
        ("stalls", "stalls"),
        ("reconnects", "reconnects"),
        ("abandoned", "readers that hung"),
    ):
        if summary[name]:
            parts.append(f"{summary[name]} {said}")
    if summary["age_p95_ms"] is not None:
        parts.append(f"age at inference {summary['age_p95_ms']:.0f} ms (p95)")
    for key, said in (("output_drops", "not taken by"), ("output_failures", "failures of")):
        parts += [f"{count} {said} {name}" for name, count in sorted(summary[key].items())]
    return ", ".join(parts) + "."
