"""ONNX files, run by onnxruntime."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..engine import Engine
from ..errors import ModelError, UsageError, first_line
from ..manifest import EMBEDDED_NAME, HeatmapSpec, ModelInfo
from .base import Backend, batch_of, chosen, identity, path_or_bytes
from .feeding import read_input
from .onnx_session import open_session

if TYPE_CHECKING:
    from ..foreign.traits import Traits
    from .onnx_tap import OnnxTap

#: Key of the description in ``metadata_props``.
METADATA_KEY = EMBEDDED_NAME.removesuffix(".json")

#: Key of the class names in files of others, and characters that they may have.
_NAMES, _MAX_NAMES = "names", 4 << 20

#: Names of the outputs: the class scores (of files exported as logits: those), the heat map.
SCORES_NAME = "probabilities"
LOGITS_NAME = "logits"
HEATMAP_NAME = "heatmap"

#: Inputs that take pixel values, by onnxruntime's name.
_DTYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
}

#: Side in pixels of the picture that a model of any size is run on to count its scores.
_ANY_SIDE = 224

OnnxTensor = tuple[str, str, list[int | str | None]]


class OnnxBackend(Backend):
    """An ONNX classifier: pixels in, scores and perhaps a heat map out."""

    name = "onnxruntime"

    def __init__(self, path: str | os.PathLike[str], engine: Engine | None = None) -> None:
        """Load a file.

        Args:
            path: The ``.onnx`` file.
            engine: Threads and execution providers; None for the defaults.

        Raises:
            UsageError: No such provider.
            ModelError: It is no whole ONNX file, or not an image classifier.
            MissingComponent: onnxruntime is not installed.
        """
        where, self._engine = os.fspath(path), engine or Engine()
        self._known, self._source = identity(where), path_or_bytes(where)
        self._session = open_session(self._source, self._engine, where)
        self._metadata = _metadata(self._session, where)
        text = self._metadata.get(METADATA_KEY)
        self.embedded = ModelInfo.from_json(text, f"{where}:{METADATA_KEY}") if text else None
        self._where = where
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or inputs[0].type not in _DTYPES:
            raise ModelError(
                f"{where}: expected one input of pixels ({', '.join(_DTYPES)}), "
                f"found {[(i.name, i.type) for i in inputs]}: not an image classifier."
            )
        self._input, dtype = inputs[0].name, np.dtype(_DTYPES[inputs[0].type])
        self.input = read_input(tuple(inputs[0].shape), dtype, where)
        self.batch = batch_of(inputs[0].shape[0])
        self._outputs = {output.name: output for output in self._session.get_outputs()}
        self._output, self._others = self._choose_scores()
        self.feed()
        self.classes = _classes(self._outputs[self._output].shape) or self._counted()

    def run(self, tensor: np.ndarray) -> np.ndarray:
        """See :meth:`Backend.run`."""
        return self._run([self._output], tensor)[0].reshape(-1, self.classes)

    def traits(self, labels: int | None = None) -> Traits:
        """What the file tells a reader who knows nothing else of it.

        Args:
            labels: How many class names there are, to choose by among several outputs.
        """
        from ..foreign.traits import Traits
        from .onnx_ending import onnx_ending

        for name in self._others:
            if labels is not None and labels != self.classes:
                classes = _classes(self._outputs[name].shape)
                if classes == labels:
                    self._others[self._others.index(name)] = self._output
                    self._output, self.classes = name, classes
        notes = {"output": f"output {self._output!r}"} if len(self._outputs) > 1 else {}
        if self._others:
            notes["output"] += f" (not {', '.join(map(repr, self._others))})"
        ending = onnx_ending(self._where, self._output)
        return Traits(self.input, self.classes, ending, notes=notes, **_stated(self._metadata))

    @property
    def heatmap(self) -> HeatmapSpec | None:
        """See :attr:`Backend.heatmap`."""
        named = None if self.embedded is None else self.embedded.output.heatmap
        if named is not None and named.output is not None:
            return named
        return HeatmapSpec(output=HEATMAP_NAME) if HEATMAP_NAME in self._outputs else None

    def explain(
        self, pixels: np.ndarray, index: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """See :meth:`Backend.explain`.

        A file without the output is opened a second time at the first call, with the feature map
        in front of its pooling as an output; a file with it computes the map with every answer.
        """
        tensor = self.filled(self.prepare(pixels))
        spec = self.heatmap
        if spec is None or spec.output is None:
            if self._tap is None:
                self._tap = self._tapped()
            scores, features = self._tap.run({self._input: tensor})
            return scores[0], self._tap.maps(features, chosen(scores[0], index))
        output = self._outputs.get(spec.output)
        if output is None or len(output.shape) != 4 or output.shape[3] != self.classes:
            raise ModelError(
                f"{self._where}: has no output {spec.output} of shape (batch, height, width, "
                f"{self.classes}). Export it again."
            )
        scores, maps = self._run([self._output, spec.output], tensor)
        scores = scores.reshape(-1, self.classes)[0]
        wanted = chosen(scores, index)
        return scores, maps[0] if wanted is None else maps[0][..., wanted : wanted + 1]

    @property
    def input_name(self) -> str:
        """Name of the input tensor."""
        return str(self._input)

    @property
    def has_maps(self) -> bool:
        """See :attr:`Backend.has_maps`."""
        spec = self.heatmap
        output = None if spec is None or spec.output is None else self._outputs.get(spec.output)
        return output is not None and len(output.shape) == 4 and output.shape[3] == self.classes

    def run_with_maps(self, tensor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See :meth:`Backend.run_with_maps`."""
        spec = self.heatmap
        if not self.has_maps or spec is None or spec.output is None:
            return super().run_with_maps(tensor)
        scores, maps = self._run([self._output, spec.output], tensor)
        return scores.reshape(-1, self.classes), maps

    _tap: OnnxTap | None = None

    def pooling(self) -> Callable[[np.ndarray], np.ndarray]:
        """See :meth:`Backend.pooling`."""
        tap = self._tapped()

        def pooled(pixels: np.ndarray) -> np.ndarray:
            return tap.vector(tap.run({self._input: self.filled(self.prepare(pixels))})[1])

        return pooled

    def _tapped(self) -> OnnxTap:
        from .onnx_tap import OnnxTap

        content = self._file.read()
        return OnnxTap(self._session, content, self._where, self._output, self.classes)

    def feature_map(self) -> str:
        """Name of the tensor that the heat maps of a file without an output for them are made of.

        Raises:
            ModelError: The graph does not end in pooling and a head that can be read.
        """
        from .onnx_graph import OnnxGraph
        from .onnx_head import read_head

        graph = OnnxGraph(self._file.read(), self._where)
        return read_head(graph, self._output, self.classes, self._where).features

    def tensors(self) -> tuple[list[OnnxTensor], list[OnnxTensor]]:
        """Inputs and outputs, each as its name, type and shape (names for dynamic dimensions)."""
        sides = (self._session.get_inputs(), self._session.get_outputs())
        inputs, outputs = (
            [(v.name, v.type.removeprefix("tensor(").removesuffix(")"), v.shape) for v in side]
            for side in sides
        )
        return inputs, outputs

    def running(self) -> dict[str, Any]:
        """See :meth:`Backend.running`."""
        import onnxruntime

        providers = list(self._session.get_providers())
        return super().running() | {
            "version": onnxruntime.__version__,
            "providers": providers,
            "provider_options": self._session.get_provider_options(),
        }

    def _choose_scores(self) -> tuple[str, list[str]]:
        """The output with the scores, and others of such a shape.

        Files of edge-export name theirs. Of the outputs of others it is the first that holds one
        row of numbers for each photo: what a model gives beside its scores (feature maps, the number
        of the best class) has another shape or type.
        """
        kind = None if self.embedded is None else self.embedded.output.kind
        names = (SCORES_NAME, LOGITS_NAME) if kind != "logits" else (LOGITS_NAME, SCORES_NAME)
        found = [
            name
            for name, output in self._outputs.items()
            if output.type in ("tensor(float)", "tensor(float16)", "tensor(double)")
            and _classes(output.shape) != 1
        ]
        if not found:
            shapes = {name: (o.type, o.shape) for name, o in self._outputs.items()}
            raise ModelError(
                f"{self._where}: expected scores of shape (batch, classes), found {shapes}: not an "
                "image classifier."
            )
        chosen = next((name for name in names if name in found), found[0])
        return chosen, [name for name in found if name != chosen]

    def _counted(self) -> int:
        """Number of scores of a model whose output has no fixed shape: it is run once."""
        for layout in self.input.layouts:
            shape = [n or 1 for n in self.input.shape]
            for place in (1, 2) if layout == "NHWC" else (2, 3):
                shape[place] = self.input.shape[place] or _ANY_SIDE
            shape[3 if layout == "NHWC" else 1] = self.input.channels(layout)
            try:
                (scores,) = self._run([self._output], np.zeros(shape, self.input.dtype))
                break
            except ModelError:
                if layout == self.input.layouts[-1]:
                    raise
        found = _classes(scores.shape)
        if found is None or scores.size != shape[0] * found:
            raise ModelError(
                f"{self._where}: expected scores of shape (batch, classes), found {scores.shape}: not "
                "an image classifier."
            )
        return found

    def _run(self, outputs: list[str], tensor: np.ndarray) -> list[np.ndarray]:
        try:
            found = self._session.run(outputs, {self._input: tensor})
        except MemoryError:
            raise
        except Exception as error:  # onnxruntime's own exceptions share no public base class
            raise ModelError(
                f"{self._where}: onnxruntime cannot run it ({first_line(error)}). "
                "Copy the file again, or export it again."
            ) from error
        return [array.astype(np.float32, copy=False) for array in found]


def _metadata(session: Any, where: str) -> Mapping[str, str]:
    try:
        found: Mapping[str, str] = session.get_modelmeta().custom_metadata_map
    except UnicodeDecodeError as error:
        raise ModelError(
            f"{where}: its metadata is no UTF-8 text ({error}). Copy the file again."
        ) from error
    return found


def _stated(metadata: Mapping[str, str]) -> dict[str, Any]:
    """Labels of ``metadata_props``, by the key that Ultralytics' exports and their readers use.

    Its value is a Python literal, an index to each name. What such files say of normalisation is in
    no key, so it is not read.

    Returns:
        Arguments of :class:`~edge_runtime.foreign.traits.Traits`.
    """
    from ..settings import ModelSettings

    text = metadata.get(_NAMES)
    if text is None or len(text) > _MAX_NAMES:
        return {}
    import ast

    try:
        names = ast.literal_eval(text)
        if not isinstance(names, (dict, list, tuple)):
            raise TypeError(type(names).__name__)
        labels = ModelSettings(labels=tuple(str(names[index]) for index in range(len(names))))
    except (
        ValueError, SyntaxError, TypeError, KeyError, MemoryError, RecursionError, UsageError,
    ) as error:  # fmt: skip
        return {"complaint": f"{_NAMES!r} is no list of class names ({first_line(error)})."}
    return {"settings": labels, "labels_file": f"{_NAMES} in metadata_props"}


def _classes(shape: Sequence[int | str | None]) -> int | None:
    """Number of scores of an output (n, classes), (n, classes, 1, 1) or (classes,).

    Returns:
        None where the shape does not tell; 1 where it is another kind of output.
    """
    behind = [n for n in shape[1:] if n != 1] if len(shape) > 1 else list(shape)
    if not shape or len(behind) > 1:
        # Several dimensions without a size may be 1 but for one.
        fixed = [n for n in behind if isinstance(n, int) and n > 0]
        return 1 if not shape or len(fixed) > 1 or len(fixed) == len(behind) else None
    if not behind:
        return 1
    return behind[0] if isinstance(behind[0], int) and behind[0] > 0 else None
