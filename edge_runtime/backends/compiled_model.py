"""LiteRT's ``CompiledModel``, which runs on a GPU, with the face of its ``Interpreter``.

LiteRT gives its GPU to that class only (https://ai.google.dev/edge/litert/next/gpu): over WebGPU,
which is Vulkan on Linux. There is no ``--delegate`` library for it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import MissingComponent, ModelError, UsageError, first_line
from ..quiet import quiet_stderr
from .tflite_graph import Graph
from .tflite_tensor import Tensor


def open_on_gpu(interpreter: str, model: str | bytes, where: str) -> CompiledInterpreter:
    """Load a model on the GPU, with the CPU for operators that it lacks.

    Args:
        interpreter: Name of the interpreter that was chosen.
        model: Path or contents of the file.
        where: Name of the file, for messages.

    Raises:
        UsageError: The interpreter has no GPU.
        MissingComponent: There is no GPU that LiteRT can use.
        ModelError: The file is damaged.
    """
    if interpreter != "litert":
        raise UsageError(
            f"--delegate gpu: {interpreter} has no GPU of its own. Use --interpreter litert, or "
            "the path of a GPU delegate's library."
        )
    try:
        from ai_edge_litert.hardware_accelerator import HardwareAccelerator
    except ImportError as error:
        raise MissingComponent(
            "--delegate gpu: this version of LiteRT has no GPU. "
            "Upgrade it with: pip install --upgrade ai-edge-litert"
        ) from error
    return CompiledInterpreter(model, HardwareAccelerator.GPU | HardwareAccelerator.CPU, where)


class CompiledInterpreter:
    """What :mod:`.litert` asks of an ``Interpreter``, done by a ``CompiledModel``.

    Attributes:
        fully_accelerated: Whether the accelerator took every operator.
    """

    def __init__(self, model: str | bytes, accelerators: Any, where: str) -> None:
        """Compile a model.

        Args:
            model: Path or contents of the file.
            accelerators: Flags of LiteRT's ``HardwareAccelerator``.
            where: Name of the file, for messages.

        Raises:
            MissingComponent: LiteRT cannot use such an accelerator here.
            ModelError: The file is damaged.
        """
        from ai_edge_litert.compiled_model import CompiledModel

        if isinstance(model, str):
            with open(model, "rb") as stream:
                model = stream.read()
        graph = Graph(model, where)
        self._inputs = [_details(i, graph.tensor(i)) for i in graph.inputs]
        self._outputs = [_details(i, graph.tensor(i)) for i in graph.outputs]
        if any(-1 in side["shape_signature"][1:] for side in self._inputs):
            raise ModelError(f"{where}: a GPU needs inputs of a fixed size. Use the CPU.")
        try:
            with quiet_stderr():  # it logs what it looks for
                self._model = CompiledModel.from_buffer(model, accelerators)
                self.fully_accelerated = self._model.is_fully_accelerated()
                self._in = self._model.create_input_buffers(0)
                self._out = self._model.create_output_buffers(0)
        except RuntimeError as error:
            raise MissingComponent(
                f"{where}: LiteRT found no GPU that it can use ({first_line(error)}). It needs a "
                "Vulkan driver (sudo apt install libvulkan1 mesa-vulkan-drivers) and a GPU that "
                "vulkaninfo shows; else leave out --delegate gpu."
            ) from error
        if len(self._in) != len(self._inputs) or len(self._out) != len(self._outputs):
            raise ModelError(f"{where}: its signature hides inputs or outputs. Use the CPU.")

    def get_input_details(self) -> list[dict[str, Any]]:
        """As of ``Interpreter``."""
        return self._inputs

    def get_output_details(self) -> list[dict[str, Any]]:
        """As of ``Interpreter``."""
        return self._outputs

    def resize_tensor_input(self, index: int, shape: Any) -> None:
        """Take a batch of another size; ``allocate_tensors`` has to follow."""
        place = self._place(self._inputs, index)
        self._model.resize_input_tensor(place, [int(n) for n in shape], strict=False)
        for side in (*self._inputs, *self._outputs):
            side["shape"] = np.array([shape[0], *side["shape"][1:]])

    def allocate_tensors(self) -> None:
        """Make buffers of the sizes that the model has now."""
        self._in = self._model.create_input_buffers(0)
        self._out = self._model.create_output_buffers(0)

    def set_tensor(self, index: int, value: np.ndarray) -> None:
        """Copy an input."""
        self._in[self._place(self._inputs, index)].write(np.ascontiguousarray(value))

    def invoke(self) -> None:
        """Run the model."""
        self._model.run_by_index(0, self._in, self._out)

    def get_tensor(self, index: int) -> np.ndarray:
        """A copy of an output."""
        place = self._place(self._outputs, index)
        side = self._outputs[place]
        count = int(np.prod(side["shape"]))
        values: np.ndarray = np.asarray(self._out[place].read(count, side["dtype"]))
        return values.reshape(side["shape"])

    @staticmethod
    def _place(sides: list[dict[str, Any]], index: int) -> int:
        return next(place for place, side in enumerate(sides) if side["index"] == index)


def _details(index: int, tensor: Tensor) -> dict[str, Any]:
    quantized = tensor.scales.size == 1
    return {
        "name": tensor.name,
        "index": index,
        "shape": np.array(tensor.shape),
        "shape_signature": np.array(tensor.signature),
        "dtype": np.float32 if tensor.dtype is None else tensor.dtype.type,
        "quantization": (
            (float(tensor.scales[0]), int(tensor.zero_points[0])) if quantized else (0.0, 0)
        ),
    }
