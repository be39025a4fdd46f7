"""What a bundle and its files say of themselves: descriptions and the manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edge_runtime.files import sha256_file, sha256_tree
from edge_runtime.machine import installed_versions
from edge_runtime.manifest import Artifact, HeatmapSpec, Manifest, ModelInfo
from edge_runtime.rundir import RunDir

from .calibration import describe
from .formats.registry import FORMATS
from .options import ExportOptions
from .photos import Photos, printable
from .report import FIGURES, ExportReport

_TOOLS = (
    "tensorflow", "keras", "tf2onnx", "onnx", "onnxruntime", "ai-edge-litert", "ai-edge-quantizer",
    "numpy",
)  # fmt: skip


@dataclass(frozen=True)
class Origin:
    """Where the files of an export come from.

    Attributes:
        run: The run.
        options: Of the export.
        name: Name of the run, for people.
        weights: SHA-256 of its ``model.keras``.
        versions: Of the tools.
    """

    run: RunDir
    options: ExportOptions
    name: str
    weights: str
    versions: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, run: RunDir, options: ExportOptions) -> Origin:
        """Look at a run."""
        name = printable(run.path.resolve().name)
        return cls(run, options, name, sha256_file(run.model_path), installed_versions(_TOOLS))

    def bundle_info(self) -> ModelInfo:
        """The description that holds for all files."""
        output = replace(self.run.info.output, kind=self.options.scores)
        return replace(self.run.info, output=output)

    def info(
        self, fmt: str, heatmap: HeatmapSpec | None = None, quantization: str | None = None
    ) -> ModelInfo:
        """The description of one file.

        Args:
            fmt: Its format.
            heatmap: Where it keeps what a heat map is made of.
            quantization: Its scheme, where it is another than the format's usual one.
        """
        about: dict[str, Any] = {
            "format": fmt,
            "quantization": quantization or FORMATS[fmt].quantization(self.options),
            "run": self.name,
            "weights_sha256": self.weights,
            "versions": dict(self.versions),
        }
        if self.options.license:
            about["license"] = self.options.license
        info = self.bundle_info()
        return replace(info, output=replace(info.output, heatmap=heatmap), about=about)


def manifest(
    origin: Origin,
    folder: Path,
    report: ExportReport,
    infos: Mapping[str, ModelInfo],
    drawn: Photos | None,
    features: Mapping[str, Any],
) -> Manifest:
    """The manifest of a bundle.

    Args:
        origin: Where its files come from.
        folder: They are here.
        report: What was found of them.
        infos: What each file says about itself.
        drawn: The photos that quantised files were calibrated on.
        features: What it says of the training photos' features; empty for nothing.
    """
    artifacts = [
        Artifact(
            format=row["format"],
            file=row["file"],
            bytes=row["bytes"],
            sha256=sha256_tree(folder / row["file"]),
            quantization=row["quantization"],
            passed=row["passed"],
            parity={key: row[key] for key in FIGURES},
            output=infos[row["format"]].output,
            recipe=row.get("recipe", {}),
        )
        for row in report.artifacts
        if row["file"] is not None
    ]
    return Manifest(
        info=origin.bundle_info(),
        artifacts=tuple(artifacts),
        default=str(report.default),
        versions=dict(origin.versions),
        source=_source(origin),
        calibration={} if drawn is None else describe(drawn, origin.options.seed),
        training_features=features,
    )


def _source(origin: Origin) -> dict[str, Any]:
    options = origin.options
    found: dict[str, Any] = {
        "run": origin.name,
        "weights_sha256": origin.weights,
        "metrics": _scalars(origin.run.metrics()),
        "options": {
            "batch": options.batch or "dynamic",
            "logits": options.logits,
            "opset": options.opset,
            "int8_io": options.int8_io,
            "max_drop": options.max_drop,
            "min_agreement": options.min_agreement,
        },
    }
    if options.license:
        found["license"] = options.license
    return found


def _scalars(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The single figures of each part; the tables per class stay with the run."""
    return {
        part: {key: value for key, value in figures.items() if isinstance(value, (int, float))}
        for part, figures in metrics.items()
        if isinstance(figures, Mapping)
    }
