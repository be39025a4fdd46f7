"""One row of the result: the figures of a configuration, out of what its processes answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..conditions import Span
from ..result import Engine, Row, Status
from ..validity import Limits, disturbances, effective_share, substitutions, weaknesses
from .counting import Counted
from .figures import end_to_end_of, latency_of, measured, memory_of, throughput_of
from .plan import Configuration


@dataclass
class Record:
    """One row in the making.

    Attributes:
        configuration: What is measured.
        starts: Milliseconds of each cold start.
        answers: What its process answered in each round.
        spans: The machine meanwhile.
        rates: What the process for throughput answered in each round.
        profile: What the profiler found; of files without one, why.
        nodes: Operators that each provider ran, where they were counted.
        skipped: Why it was not measured, where that is no failure.
        error: Why it failed.
    """

    configuration: Configuration
    starts: list[float] = field(default_factory=list)
    answers: list[dict[str, Any]] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    rates: list[dict[str, Any]] = field(default_factory=list)
    profile: dict[str, Any] | None = None
    nodes: dict[str, int] | None = None
    skipped: str | None = None
    error: str | None = None

    @property
    def open(self) -> bool:
        """Whether there is something left to measure."""
        return self.skipped is None and self.error is None

    @property
    def span(self) -> Span | None:
        """All of its rounds."""
        total = None
        for span in self.spans:
            total = span if total is None else total + span
        return total

    @property
    def label(self) -> str:
        """What messages call it while it is measured."""
        return _label(self.configuration, self.configuration.interpreter)

    def engine(self) -> Engine:
        """What runs it, as far as it came."""
        running = self.answers[-1]["running"] if self.answers else {}
        configuration = self.configuration
        return {
            "interpreter": running.get("interpreter") or configuration.interpreter,
            "version": running.get("version"),
            "threads": configuration.threads,
            "delegate": configuration.delegate,
            "effective": effective_share(running.get("effective"), self.nodes),
        }


def name_rows(records: Sequence[Record], prefixes: Sequence[str]) -> list[str]:
    """A name for each row, none twice.

    Args:
        records: The rows.
        prefixes: Of each subject, what its rows begin with.
    """
    names: list[str] = []
    for record in records:
        interpreter = record.engine()["interpreter"]
        prefix = prefixes[record.configuration.part.subject]
        name = prefix + _label(record.configuration, interpreter)
        count = names.count(name) + sum(other.startswith(f"{name} (") for other in names)
        names.append(f"{name} ({count + 1})" if count else name)
    return names


def _label(configuration: Configuration, interpreter: str | None) -> str:
    part, threads = configuration.part, configuration.threads
    words = [part.format or part.file]
    if interpreter is not None:
        words.append(interpreter)
    if threads is None:
        words.append("own threads")
    else:
        words.append(f"{threads} thread{'s' * (threads > 1)}")
    if configuration.delegate is not None:
        words.append(configuration.delegate)
    return ", ".join(words)


def make_row(
    record: Record, name: str, limits: Limits, counted: Counted | None, reference: Any
) -> Row:
    """The row of a configuration.

    Args:
        record: What was found.
        name: Of the row.
        limits: What makes it valid.
        counted: Answers to the labelled photos; None without any.
        reference: Name and answers (:class:`Counted`) of the reference row, or None.
    """
    engine = record.engine()
    row: Row = {
        "name": name,
        "status": "ok",
        "reasons": [],
        "artifact": record.configuration.part.artifact,
        "engine": engine,
        "cold_start": None,
        "imports": None,
        "load": None,
        "first": None,
        "latency": None,
        "throughput": [],
        "end_to_end": None,
        "memory": None,
        "accuracy": None,
        "profile": record.profile,
    }
    stopped: tuple[Status, str | None] | None = None
    if record.error is not None:
        stopped = "failed", record.error
    elif record.skipped is not None:
        stopped = "skipped", record.skipped
    if stopped is not None:
        row["status"], row["reasons"] = stopped[0], [str(stopped[1])]
        return row
    answers = record.answers
    latency = latency_of(answers, record.spans)
    row["cold_start"] = measured(record.starts)
    row["imports"] = measured([answer["import_ms"] for answer in answers])
    row["load"] = measured([answer["load_ms"] for answer in answers])
    row["first"] = measured([answer["first_ms"] for answer in answers])
    row["latency"] = latency
    row["throughput"] = throughput_of(record.rates)
    row["end_to_end"] = end_to_end_of([answer["stages"] for answer in answers])
    row["memory"] = memory_of(answers)
    if counted is not None:
        row["accuracy"] = counted.figures(*(reference or (None, None)))
    running, span = answers[-1]["running"], record.span
    row["reasons"] = substitutions(engine, running["placement"], running["providers"], record.nodes)
    if span is not None:
        row["reasons"] += disturbances(span, limits)
    row["reasons"] += weaknesses(latency, limits)
    row["status"] = "invalid" if row["reasons"] else "ok"
    return row


def best_first(rows: list[Row]) -> list[Row]:
    """Sort rows: those that passed parity by their median, then the others, the incomplete last."""
    order: dict[Status, int] = {"ok": 0, "invalid": 0, "skipped": 2, "failed": 3}

    def rank(row: Row) -> tuple[int, float]:
        latency = row["latency"]
        if latency is None:
            return order[row["status"]] or 2, 0.0
        return int(row["artifact"]["parity_passed"] is False), latency["p50_ms"]

    return sorted(rows, key=rank)
