"""``POST /v1/classify``: photos in, the objects of ``edge-classify image --json`` out."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ..prediction import Prediction
from ..web.asgi import gone
from .body import Budget, check_head, read_body
from .jobs import PhotoJob
from .multipart import Part, parameters, parse, too_many
from .problems import ClientGone, Problem, busy
from .served import WINDOW, Registry, ServedModel
from .settings import ServeSettings
from .wishes import Wishes, read_wishes

if TYPE_CHECKING:
    from ..classifier import Classifier
    from ..web.asgi import Receive

_T = TypeVar("_T")

#: Fields of a form that hold photos.
_PHOTO_FIELDS = ("photo", "file")

#: Types of a body that is a photo and nothing else, beside image/...; what it really is, is found
#: in its first bytes.
_RAW_TYPES = ("application/octet-stream", "")

#: What a photo without a name is called.
_NAMELESS = "photo"


class Classify:
    """The route."""

    def __init__(
        self, registry: Registry, settings: ServeSettings, pool: ThreadPoolExecutor, budget: Budget
    ) -> None:
        """Join it with the models.

        Args:
            registry: The models.
            settings: Limits.
            pool: Threads that decode.
            budget: Bytes of all bodies.
        """
        self._registry, self._settings = registry, settings
        self._pool, self._budget = pool, budget

    async def __call__(self, request: Request) -> Response:
        """Answer one request."""
        kind, named = parameters(request.headers.get("content-type", ""))
        form = kind == "multipart/form-data"
        if not form and not kind.startswith("image/") and kind not in _RAW_TYPES:
            raise Problem(
                415,
                f"Content-Type {kind[:60]!r}: expected multipart/form-data with photos in fields "
                "called photo, or the bytes of one photo as image/jpeg, image/png and so on.",
                {"accept-post": "multipart/form-data, image/*, application/octet-stream"},
            )
        query = request.query_params.multi_items()
        query = [(name, value) for name, value in query if name != "token"]
        wishes = read_wishes(query)
        # A form may name its model in a field, which comes with the photos.
        await self._registry.check(wishes.model, certain=wishes.model is not None or not form)
        check_head(request.scope, self._settings.max_body)
        with self._budget.share() as share:
            body = await read_body(request.receive, self._settings.max_body, share)
            photos: list[tuple[str, memoryview]]
            if form:
                parts = parse(body, named.get("boundary"), self._settings.max_photos)
                photos, fields = _sorted(parts)
                wishes = read_wishes([*query, *fields])
                if len(photos) > self._settings.max_photos:
                    raise too_many(self._settings.max_photos)
            else:
                photos = [(_NAMELESS, memoryview(body))]
            if not photos:
                raise Problem(422, "There is no photo: send it in a field called photo.")
            if not form and not body:
                raise Problem(422, "The body is empty: send the bytes of a photo.")
            model = self._registry.get(wishes.model)
            with model.place():
                answers = await attended(
                    self._all(model, photos, wishes), request.receive, self._settings.timeout
                )
        if not form and answers[0]["error"] is not None:
            raise Problem(422, answers[0]["error"])
        return JSONResponse(answers[0] if not form else {"model": model.name, "results": answers})

    async def _all(
        self, model: ServedModel, photos: Sequence[tuple[str, memoryview]], wishes: Wishes
    ) -> list[dict[str, Any]]:
        classifier = model.classifier  # of all of them: another may take over meanwhile
        if len(photos) == 1:
            return [await self._one(model, classifier, *photos[0], wishes)]
        window = asyncio.Semaphore(WINDOW)

        async def in_turn(name: str, photo: memoryview) -> dict[str, Any]:
            async with window:
                return await self._one(model, classifier, name, photo, wishes)

        tasks = [asyncio.ensure_future(in_turn(*photo)) for photo in photos]
        try:
            return list(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _one(
        self,
        model: ServedModel,
        classifier: Classifier,
        name: str,
        photo: memoryview,
        wishes: Wishes,
    ) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        job = PhotoJob(classifier, loop, name, photo, wishes)
        answer: Prediction = await model.photo(self._pool, job)
        found = answer.to_dict()
        if wishes.heatmap is not None:
            found["heatmap"] = None
            explanation = answer.explanation
            if explanation is not None:
                from .heat import overlay, raw_map

                draw = overlay if wishes.heatmap == "overlay" else raw_map
                spec, roi = classifier.info.preprocess, wishes.roi
                found["heatmap"] = await loop.run_in_executor(
                    self._pool, draw, photo, explanation, spec, roi
                )
        return found


async def attended(work: Coroutine[Any, Any, _T], receive: Receive, timeout: float) -> _T:
    """Work for a client as long as it is there, and no longer than it may take.

    Args:
        work: Of which a request consists once it has been read.
        receive: As of ASGI; tells when the client leaves.
        timeout: Seconds.

    Raises:
        ClientGone: It has left.
        Problem: 503 where it took too long.
    """
    task = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(gone(receive))
    try:
        await asyncio.wait({task, leaving}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        if leaving.done():
            raise ClientGone
        raise busy(f"The answer was not there within {timeout:g} seconds (--timeout).", 5)
    finally:
        for one in (task, leaving):
            one.cancel()
        await asyncio.gather(task, leaving, return_exceptions=True)


def _sorted(parts: Sequence[Part]) -> tuple[list[tuple[str, memoryview]], list[tuple[str, str]]]:
    """Photos and wishes of a form."""
    photos: list[tuple[str, memoryview]] = []
    fields: list[tuple[str, str]] = []
    for part in parts:
        if part.name in _PHOTO_FIELDS:
            photos.append((part.filename or f"{_NAMELESS}-{len(photos) + 1}", part.content))
        elif part.filename is not None:
            raise Problem(
                422,
                f"Field {part.name[:60]!r}: photos are expected in fields called photo or file.",
            )
        else:
            fields.append((part.name, bytes(part.content[:200]).decode("utf-8", "replace")))
    return photos, fields
