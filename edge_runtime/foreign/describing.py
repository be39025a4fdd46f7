"""What a model of others says and what is found out about it, joined to a description.

Nothing is guessed in silence: each part of the description keeps where it comes from, under
``sources`` of :attr:`ModelInfo.about`, and what nobody says is an error that tells what to give.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..backends.base import Backend
from ..backends.feeding import check_tables, input_tables, range_of
from ..description import ModelInfo, OutputSpec, PreprocessSpec
from ..errors import ModelError, UsageError
from ..input_spec import InputSpec
from ..settings import NORMALIZATIONS, USUAL, Stated
from .labels import fit_labels
from .traits import Traits

_log = logging.getLogger("edge_runtime")

#: Names of the settings that a file itself holds.
METADATA = "metadata"

#: A quantised input covers the range of a usual normalisation if both ends lie as near, relative to
#: the range: calibration stretches it a little.
_RANGE_TOLERANCE = 0.02


def describe(
    traits: Traits, stated: Stated, where: str, open_backend: Callable[[], Backend]
) -> ModelInfo:
    """The description of a model of others.

    Args:
        traits: What it tells.
        stated: What the caller says of it, the first to say something wins.
        where: The file, for messages.
        open_backend: Gives the model, for where it has to be run to tell what its scores are.

    Raises:
        ModelError: Something is not said, or does not fit.
        UsageError: A setting does not fit.
    """
    return _Resolver(traits, [*stated, (METADATA, traits.settings)], where).info(open_backend)


class _Resolver:
    def __init__(self, traits: Traits, stated: Stated, where: str) -> None:
        self._traits, self._stated, self._where = traits, stated, where
        self._sources: dict[str, str] = {}
        self._lacking: list[str] = []

    def info(self, open_backend: Callable[[], Backend]) -> ModelInfo:
        labels = self._labels()
        spec, feed = self._photo(), self._feed()
        if self._lacking or labels is None or feed is None or spec is None:
            complaint = self._traits.complaint
            complaint = f" Its metadata is left aside: {complaint}" if complaint else ""
            raise ModelError(
                f"{self._where}: does not say everything that an answer needs, and nobody else "
                f"does.{complaint} Missing: {'; '.join(self._lacking)}. Give it as options, or in "
                f"{Path(self._where).name}.yaml beside the file."
            )
        output = self._output(spec, feed, open_backend)
        about = self._traits.about | {"sources": self._sources}
        return ModelInfo(labels, spec, output, about, feed)

    def _say(self, part: str, source: str, note: str = "") -> None:
        own = self._traits.notes.get(part, "")
        self._sources[part] = "; ".join(text for text in (source, note, own) if text)

    def _pick(self, field: str, part: str, usual: Any = None, why: str = "") -> Any:
        """What the first source says of a field; ``usual`` where none does."""
        for source, settings in self._stated:
            value = getattr(settings, field)
            if value is not None:
                self._say(part, source)
                return value
        if usual is not None:
            self._say(part, why)
        return usual

    def _labels(self) -> tuple[str, ...] | None:
        labels = self._pick("labels", "labels")
        if labels is None:
            count = f"a list of its {self._traits.classes} class names"
            self._lacking.append(f"--labels FILE, {count}")
            return None
        source = self._sources["labels"]
        if source == METADATA:
            source = f"{METADATA} ({self._traits.labels_file})"
        names, note = fit_labels(labels, self._traits.classes, f"{self._where}: labels of {source}")
        self._say("labels", source, note)
        return names

    def _layout(self) -> str:
        found = self._traits.input.layouts
        layout: str | None = self._pick("layout", "layout")
        if layout is None:
            if len(found) > 1:
                self._lacking.append(
                    f"--layout NHWC or NCHW, which the shape {self._traits.input.shape} leaves open"
                )
            self._say("layout", "the shape of the input")
            return found[0]
        if layout not in found:
            raise UsageError(
                f"{self._where}: {self._sources['layout']}: layout {layout} does not fit its input "
                f"of shape {self._traits.input.shape}, which is {found[0]}."
            )
        return layout

    def _photo(self) -> PreprocessSpec | None:
        layout = self._layout()
        width, height = self._traits.input.size(layout)
        size = self._pick("size", "size")
        for fixed, n in zip((width, height), size or (), strict=False):
            # Metadata that names another size than the tensor has is of no consequence.
            if fixed not in (None, n) and self._sources["size"] != METADATA:
                raise UsageError(
                    f"{self._where}: {self._sources['size']}: input-size {size[0]}x{size[1]} does "
                    f"not fit the model, which takes {width or 'any'} x {height or 'any'} pixels."
                )
        if width and height:
            size = (width, height)
            self._say("size", "the shape of the input")
        if size is None:
            self._lacking.append("--input-size WIDTHxHEIGHT, since it takes any size")
            return None
        fit = self._pick("fit", "fit", "crop", "the usual")
        kernel = self._pick("kernel", "kernel", "bilinear", "the usual")
        return PreprocessSpec(size[0], size[1], fit, kernel)

    def _feed(self) -> InputSpec | None:
        tensor = self._traits.input
        wanted = self._pick("layout", "layout")
        layout = wanted or tensor.layouts[0]
        usual = "RGB" if tensor.channels(layout) == 3 else "GRAY"
        color = self._pick("color", "channel_order", usual, "the usual")
        for source, settings in self._stated:
            normalized = settings.normalized(color)
            if normalized is not None:
                name = settings.normalization
                self._say("normalization", f"{source} ({name})" if name else source)
                return self._quantized_as(
                    self._checked(InputSpec(*normalized, layout, color), source)
                )
        found = self._quantized()
        if found is None:
            self._lacking.append(f"--normalization, usual are {USUAL}; or --mean and --std")
            return None
        (mean, std), why = found
        self._say("normalization", why)
        return self._quantized_as(InputSpec(mean, std, layout, color))

    def _quantized_as(self, spec: InputSpec) -> InputSpec:
        """The same; says where it cancels out with the quantisation."""
        tensor = self._traits.input
        if tensor.scale and spec.is_normalized and tensor.dtype.itemsize == 1:
            table = input_tables(spec, tensor)
            if table is None or np.array_equal(np.diff(table.astype(int)), np.ones((1, 255))):
                self._say(
                    "normalization", self._sources["normalization"],
                    "undone by the quantisation, so pixels go in as they are",
                )  # fmt: skip
        return spec

    def _checked(self, spec: InputSpec, source: str) -> InputSpec:
        """The normalisation that was stated; that of the quantisation where metadata contradicts it.

        Programs that take metadata at its word pass pixels to quantised inputs as they are, so
        wrong metadata there is met with.
        """
        try:
            check_tables(spec, self._traits.input)
        except ModelError as error:
            found = self._quantized()
            if source != METADATA or found is None:
                raise UsageError(str(error)) from error
            (mean, std), why = found
            self._say(
                "normalization", why,
                f"its metadata says mean {list(spec.mean)}, std {list(spec.std)}, which cannot be",
            )  # fmt: skip
            return InputSpec(mean, std, spec.layout, spec.color)
        return spec

    def _quantized(self) -> tuple[tuple[tuple[float, ...], tuple[float, ...]], str] | None:
        """The normalisation that an 8-bit input tells by the range that it covers."""
        tensor = self._traits.input
        if tensor.dtype == np.uint8 and not tensor.scale:
            return NORMALIZATIONS["raw"], "the input takes whole pixel values"
        if tensor.dtype.itemsize != 1 or not tensor.scale:
            return None
        low, high = range_of(tensor)
        for name in ("raw", "unit", "symmetric"):
            (mean,), (std,) = NORMALIZATIONS[name]
            ends = ((0 - mean) / std, (255 - mean) / std)
            allowed = _RANGE_TOLERANCE * (ends[1] - ends[0])
            if abs(low - ends[0]) <= allowed and abs(high - ends[1]) <= allowed:
                why = f"the range of the quantised input, {low:.4g} to {high:.4g} ({name})"
                return NORMALIZATIONS[name], why
        return None

    def _output(
        self, spec: PreprocessSpec, feed: InputSpec, open_backend: Callable[[], Backend]
    ) -> OutputSpec:
        kind, ending = self._pick("output", "output"), self._traits.ending
        if kind == "logits" and ending.kind in ("softmax", "sigmoid"):
            _log.warning(
                "%s: its graph ends in %s, so its scores are probabilities; output-kind logits (%s) "
                "puts a softmax behind that. Leave it out unless that is meant.",
                self._where,
                ending.operator,
                self._sources["output"],
            )
        if kind is not None:
            return OutputSpec(kind)
        if ending.kind is None:
            from .score_kind import kind_of_scores

            backend = open_backend()
            backend.feed(feed)
            found, note = kind_of_scores(backend, (spec.width, spec.height), self._where)
            self._say("output", "tried on generated pictures", note)
            return OutputSpec(found)
        self._say("output", f"{ending.operator} at the end of the graph", _NOTES[ending.kind])
        return OutputSpec("logits" if ending.kind == "logits" else "probabilities")


#: What people should know of the scores.
_NOTES = {
    "softmax": "",
    "sigmoid": "sigmoid, a score for each class alone: they need not sum to 1",
    "logits": "softmax is added",
}
