"""The Open Inference Protocol v2 over REST, as KServe's and Triton's clients speak it."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from .. import __version__
from .body import Budget, check_head, read_body
from .classify import attended
from .facts import input_name, input_shape
from .jobs import TensorJob
from .outputs import Written, write
from .problems import Problem, busy
from .served import Registry, ServedModel
from .settings import ServeSettings
from .tensors import Input, read_inference

if TYPE_CHECKING:
    from ..classifier import Classifier

#: Header of the binary tensor data extension, in both directions.
HEADER_LENGTH = "inference-header-content-length"

#: There is one version of a model, the one that is loaded.
VERSION = "1"

_JSON_TYPES = ("application/json", "application/octet-stream", "")


class OpenInference:
    """The routes below ``/v2``, but for health."""

    def __init__(
        self, registry: Registry, settings: ServeSettings, pool: ThreadPoolExecutor, budget: Budget
    ) -> None:
        """Join them with the models; arguments as of the route to classify."""
        self._registry, self._settings = registry, settings
        self._pool, self._budget = pool, budget

    async def server(self, request: Request) -> Response:
        """Server metadata."""
        extensions = ["binary_tensor_data", "classification"]
        return JSONResponse(
            {"name": "edge-classify", "version": __version__, "extensions": extensions}
        )

    async def model(self, request: Request) -> Response:
        """Model metadata."""
        model = self._model(request)
        takes = takes_of(model.classifier)
        outputs = [
            {"name": name, "datatype": "FP32", "shape": shape}
            for name, shape in _outputs(model.classifier).items()
        ]
        shape = [-1, *takes.shape[1:]]
        return JSONResponse(
            {
                "name": model.name,
                "versions": [VERSION],
                "platform": f"edge-classify_{model.classifier.format}",
                "inputs": [{"name": takes.name, "datatype": takes.datatype, "shape": shape}],
                "outputs": outputs,
            }
        )

    async def ready(self, request: Request) -> Response:
        """Whether a model answers."""
        model = self._model(request)
        if model.is_stuck():
            raise busy(f"The interpreter of {model.name} does not come back.", 5)
        return JSONResponse({"name": model.name, "ready": True})

    async def infer(self, request: Request) -> Response:
        """Run a tensor."""
        model = self._model(request)
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in _JSON_TYPES:
            raise Problem(
                415,
                f"Content-Type {kind[:60]!r}: expected application/json, or "
                "application/octet-stream with Inference-Header-Content-Length.",
            )
        length = _header_length(request)
        await model.check()
        check_head(request.scope, self._settings.max_body)
        with self._budget.share() as share:
            body = await read_body(request.receive, self._settings.max_body, share)
            with model.place():
                written = await attended(
                    self._answer(model, body, length), request.receive, self._settings.timeout
                )
        if written.header_length is None:
            return Response(written.content, media_type="application/json")
        return Response(
            written.content,
            headers={HEADER_LENGTH: str(written.header_length)},
            media_type="application/octet-stream",
        )

    async def _answer(self, model: ServedModel, body: bytearray, length: int | None) -> Written:
        """Read, run and write, all with one classifier: another may take over meanwhile."""
        loop, classifier = asyncio.get_running_loop(), model.classifier
        outputs = tuple(_outputs(classifier))
        read = await loop.run_in_executor(
            self._pool, read_inference, body, length, takes_of(classifier), outputs
        )
        heatmap = any(one.name == "heatmap" for one in read.wanted)
        found = await model.tensors(TensorJob(classifier, loop, read.tensor, heatmap))
        answer: dict[str, Any] = {"model_name": model.name, "model_version": VERSION}
        if read.id is not None:
            answer["id"] = read.id
        names = classifier.info.class_names
        return await loop.run_in_executor(self._pool, write, answer, found, read.wanted, names)

    def _model(self, request: Request) -> ServedModel:
        version = request.path_params.get("version", VERSION)
        model = self._registry.get(request.path_params["name"])
        if version != VERSION:
            raise Problem(404, f"{model.name}: has the version {VERSION} alone.")
        return model


def takes_of(classifier: Classifier) -> Input:
    """The input of a model."""
    backend = classifier.backend
    return Input(input_name(backend), backend.input.dtype, input_shape(classifier))


def _outputs(classifier: Classifier) -> dict[str, list[int]]:
    """Names and shapes of a model's outputs, probabilities first."""
    found = {"probabilities": [-1, classifier.backend.classes]}
    if classifier.backend.has_maps:
        found["heatmap"] = [-1, -1, -1, classifier.backend.classes]
    return found


def _header_length(request: Request) -> int | None:
    text = request.headers.get(HEADER_LENGTH)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Problem(400, "Inference-Header-Content-Length: expected a number of bytes.")
    return int(text)
