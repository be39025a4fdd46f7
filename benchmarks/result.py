"""What ``edge-bench run`` finds, as JSON: the contract of everything that measures or shows.

A result is one object, :class:`Result`; ``benchmarks/schema.json`` is the same as a JSON Schema (draft
2020-12), published for other programs. Times are milliseconds, sizes bytes, shares 0..1; what was
not measured is None. Confidence intervals are of 95 %, see :mod:`benchmarks.statistics`.
"""

from __future__ import annotations

from typing import Any, Literal, TypedDict

#: Version of this layout; readers refuse another one.
SCHEMA_VERSION = 2

#: ``ok``; ``invalid`` (measured, and not to be trusted: ``reasons`` say why); ``skipped`` (an
#: interpreter is not installed); ``failed`` (crashed, killed, refused: the first reason says it).
Status = Literal["ok", "invalid", "skipped", "failed"]

#: Lower and upper end.
Interval = tuple[float, float]


class Artifact(TypedDict):
    """The model file of a row."""

    subject: str  #: the bundle or file as it was given, see ``Result.subject``
    format: str  #: a name of the toolkit's formats, or ``tflite``, ``onnx``, ``keras``
    file: str  #: relative to the subject, or the path that was given
    bytes: int
    sha256: str | None
    quantization: str | None
    parity_passed: bool | None  #: None for a file without a bundle


class Engine(TypedDict):
    """What runs it."""

    interpreter: str | None  #: such as ``litert``; None where it never came so far
    version: str | None
    threads: int | None  #: None: the interpreter's own choice
    delegate: str | None  #: or provider, as asked for; None: the default
    effective: str | None  #: what was really in use, such as ``XNNPACK``, as far as it tells


class Histogram(TypedDict):
    """Counts of samples between edges that grow geometrically."""

    edges_ms: list[float]  #: one more than counts
    counts: list[int]


class _RoundTail(TypedDict, total=False):
    """What a round may have besides."""

    p90_ms: float  #: without it, ``edge-bench compare`` cannot judge the 90th percentile


class Round(_RoundTail):
    """One process that measured one configuration."""

    p50_ms: float
    runs: int
    warm_up_runs: int
    steady: bool  #: whether latency had settled when the warm-up ended
    seconds: float
    other_load: float | None  #: cores that other processes used meanwhile


class Latency(TypedDict):
    """Single stream: one inference after the other (MLPerf Inference, Reddi et al. 2020)."""

    runs: int
    min_ms: float
    mean_ms: float
    p50_ms: float
    p50_ci_ms: Interval
    p90_ms: float
    p95_ms: float
    p99_ms: float
    p99_9_ms: float
    max_ms: float
    histogram: Histogram
    rounds: list[Round]


class Measured(TypedDict):
    """A figure that each round has once."""

    median_ms: float
    min_ms: float
    ci_ms: Interval | None


class Throughput(TypedDict):
    """Inferences a second when more than one is under way."""

    streams: int  #: callers at once, each with an interpreter of its own
    batch: int  #: pictures a run
    per_second: float
    ci_per_second: Interval


class EndToEnd(TypedDict):
    """From a photo's file to its scores, medians over the photos."""

    photos: int
    p50_ms: float
    p50_ci_ms: Interval | None  #: None of fewer than three rounds
    p90_ms: float
    decode_ms: float  #: read, decode
    preprocess_ms: float  #: resize, tensor
    infer_ms: float
    postprocess_ms: float


class Memory(TypedDict):
    """Of the measuring process, Python, numpy and Pillow included."""

    peak_bytes: int | None
    steady_bytes: int | None  #: resident after the timed loop


class Accuracy(TypedDict):
    """On labelled photos, exactly as ``edge-classify image`` answers them."""

    photos: int
    unreadable: int
    correct: int
    accuracy: float
    ci: Interval  #: Wilson's
    agreement: float | None  #: with the reference row's labels
    reference: str | None  #: name of that row
    ece: float | None  #: expected calibration error of calibrated (else raw) scores


class Row(TypedDict):
    """One configuration."""

    name: str  #: unique in the result, such as ``tflite-int8, litert, 2 threads``
    status: Status
    reasons: list[str]
    artifact: Artifact
    engine: Engine
    cold_start: Measured | None  #: a process from start to the first answer of one photo
    imports: Measured | None  #: the interpreter's
    load: Measured | None
    first: Measured | None  #: first inference
    latency: Latency | None
    throughput: list[Throughput]
    end_to_end: EndToEnd | None
    memory: Memory | None
    accuracy: Accuracy | None
    profile: dict[str, Any] | None  #: ``--profile``: time by operator type


class Condition(TypedDict):
    """The machine at one moment, or over a span; what cannot be read is None."""

    clock_mhz: float | None  #: slowest core's, at the moment (over a span: the least)
    governor: str | None
    temperature_c: float | None  #: over a span: the most
    throttled: list[str] | None  #: such as ``under-voltage``, ``frequency capped``, ``throttled``
    other_load: float | None  #: cores that other processes used
    swapped_bytes: int | None  #: swapped in and out over a span


class Conditions(TypedDict):
    """The machine around the measurement."""

    before: Condition
    during: Condition
    after: Condition


class Figures(TypedDict):
    """What a verdict compares of one row."""

    latency_ms: float  #: the verdict's percentile
    latency_ci_ms: Interval
    accuracy: float | None
    accuracy_ci: Interval | None
    memory_bytes: int | None  #: peak
    size_bytes: int


class Verdict(TypedDict):
    """Which row to deploy."""

    limits: dict[str, float]  #: those that were asked for, by option name
    percentile: Literal["p50", "p90", "p95", "p99"]  #: of the latency that is compared
    #: Of photos that this run classified, or what the bundle states; None where nobody knows.
    accuracy_from: Literal["data", "bundle"] | None
    compared: dict[str, Figures]  #: by name of row: those that were considered
    pareto: list[str]  #: of these, those that no other beats in latency, accuracy, memory and size
    recommended: str | None  #: name of a row; None if none holds the limits
    nearest: str | None  #: where none does: the one that misses them by least
    reason: str  #: one sentence
    left_out: dict[str, str]  #: name of a row to why it was not considered


class Result(TypedDict):
    """All of a run."""

    schema_version: int
    date: str  #: RFC 3339, UTC
    machine: dict[str, Any]  #: see benchmarks.hardware.describe_machine
    #: ``path``, ``kind`` (bundle, file; several), ``classes``, ``width``, ``height`` (of several the
    #: first one's) and ``members``: the same of each, with ``default`` (a bundle's own format)
    subject: dict[str, Any]
    settings: dict[str, Any]  #: min_seconds, min_runs, rounds, max_interval, data, pin...
    input: dict[str, Any]  #: which pictures were timed
    status: Status  #: ``invalid`` if any row, or the whole run, is
    reasons: list[str]  #: of the run as a whole
    conditions: Conditions
    rows: list[Row]
    verdict: Verdict | None
