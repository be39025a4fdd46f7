"""The description of the API (OpenAPI 3.1.0): what it says is what the routes check."""

from __future__ import annotations

from typing import Any

from .. import __version__
from .json_tensors import MAX_BATCH
from .problems import MEDIA_TYPE
from .settings import ServeSettings
from .wishes import MAX_TOP_K

Json = dict[str, Any]

_TEXTS = {
    400: "The request cannot be read.",
    401: "The token is missing or wrong.",
    403: "Asked for by another name of this machine, or by the page of another site.",
    404: "There is no such model or address.",
    405: "The method is another one.",
    413: "The body, or the number of its parts, is above the limit.",
    415: "The body is of another type, or compressed.",
    422: "A value cannot be, or the photo cannot be read.",
    500: "The server failed.",
    503: "Too much waits already, or it took too long; see Retry-After.",
}


def document(settings: ServeSettings, token: bool) -> Json:
    """The document.

    Args:
        settings: Limits, which it names.
        token: Whether a token is asked for.
    """
    found: Json = {
        "openapi": "3.1.0",
        "info": {
            "title": "edge-classify",
            "version": __version__,
            "description": "Classify photos. Errors are problem details (RFC 9457). At most "
            f"{settings.max_body / (1 << 20):g} MiB a request, {settings.max_photos} photos in one.",
        },
        "paths": _paths(settings),
        "components": {"schemas": _SCHEMAS},
    }
    if token:
        found["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        found["security"] = [{"token": []}]
    return found


def _paths(settings: ServeSettings) -> Json:
    name = _path_parameter("name", "Of the model.")
    version = _path_parameter("version", "1: there is no other.")
    paths: Json = {
        "/v1/classify": {"post": _classify(settings)},
        "/v1/models": {
            "get": _get("listModels", "The models.", _list("models", _ref("Summary")), 400)
        },
        "/v1/models/{name}": {
            "parameters": [name],
            "get": _get("showModel", "A model's card.", _ref("Card"), 400, 404),
        },
        "/v2": {"get": _get("serverMetadata", "Open Inference Protocol: the server.", _OBJECT)},
        "/v2/health/live": {"get": _health("serverLive", "Whether the server runs.", "live")},
        "/v2/health/ready": {
            "get": _health("serverReady", "Whether its models answer.", "ready", 503)
        },
        "/healthz": {"get": _health("healthz", "Whether the server runs.", "live")},
        "/readyz": {"get": _health("readyz", "Whether its models answer.", "ready", 503)},
        "/metrics": {
            "get": {
                "operationId": "metrics",
                "summary": "Counters, in the text format of Prometheus.",
                "responses": _responses(
                    {"description": "Now.", "content": {"text/plain": {"schema": _STRING}}}
                ),
            }
        },
        "/openapi.json": {"get": _get("openapi", "This document.", _OBJECT)},
    }
    for prefix, parameters, end in (
        ("/v2/models/{name}", [name], ""),
        ("/v2/models/{name}/versions/{version}", [name, version], "OfVersion"),
    ):
        for rest, operation in (
            ("", _get(f"modelMetadata{end}", "Input and outputs.", _OBJECT, 400, 404)),
            ("/ready", _get(f"modelReady{end}", "Whether it answers.", _OBJECT, 400, 404, 503)),
            ("/infer", _infer(end)),
        ):
            method = "post" if rest == "/infer" else "get"
            paths[prefix + rest] = {"parameters": parameters, method: operation}
    return paths


def _classify(settings: ServeSettings) -> Json:
    wishes = {
        "model": {"type": "string", "description": "Its name; the first where none is given."},
        "top_k": {"type": "integer", "minimum": 1, "maximum": MAX_TOP_K, "default": 5},
        "heatmap": {
            "type": "string",
            "enum": ["false", "true", "overlay", "map"],
            "description": "true and overlay: the photo under its map, as a data: address; map: its "
            "values, and its colours as a data: address. The objects then have a heatmap.",
        },
        "threshold": {"type": "number", "minimum": 0, "maximum": 1},
        "roi": {
            "type": "string",
            "description": "left,top,right,bottom as fractions or percent of the upright photo.",
            "examples": ["0.25,0,0.75,1"],
        },
    }
    photos = {"type": "array", "items": {"type": "string", "format": "binary"}}
    form = {"type": "object", "properties": {"photo": photos, **wishes}, "required": ["photo"]}
    raw = {"schema": {"type": "string", "format": "binary"}}
    content = {
        "multipart/form-data": {"schema": form},
        **dict.fromkeys(("image/jpeg", "image/png", "image/webp", "image/*"), raw),
        "application/octet-stream": raw,
    }
    answer = {"anyOf": [_ref("Prediction"), _ref("Predictions")]}
    return {
        "operationId": "classify",
        "summary": "Classify one photo, or several.",
        "description": "Raw bytes of one photo give one object; a form, with photos in fields called "
        f"photo or file (at most {settings.max_photos}), gives model and results, in which a photo "
        "that cannot be read has its error. What wishes are in the query may be fields as well.",
        "parameters": [
            {"name": name, "in": "query", "required": False, "schema": schema}
            for name, schema in wishes.items()
        ],
        "requestBody": {"required": True, "content": content},
        "responses": _responses(_content("The answer.", answer), 400, 404, 413, 415, 422, 503),
    }


def _infer(end: str) -> Json:
    raw = {"schema": {"type": "string", "format": "binary"}}
    header = {
        "name": "Inference-Header-Content-Length",
        "in": "header",
        "required": False,
        "schema": {"type": "integer", "minimum": 0},
        "description": "Bytes of the JSON in front of binary tensors; 0: the body is the tensor alone.",
    }
    content = {
        "application/json": {"schema": _ref("InferenceRequest")},
        "application/octet-stream": raw,
    }
    found = _content("Outputs.", _ref("InferenceResponse"))
    found["content"]["application/octet-stream"] = raw
    return {
        "operationId": f"infer{end}",
        "summary": "Run a tensor, as JSON or with the binary tensor data extension.",
        "description": f"At most {MAX_BATCH} photos. The tensor is what the model's metadata names.",
        "parameters": [header],
        "requestBody": {"required": True, "content": content},
        "responses": _responses(found, 400, 404, 413, 415, 422, 503),
    }


def _get(operation: str, summary: str, schema: Json, *errors: int) -> Json:
    return {
        "operationId": operation,
        "summary": summary,
        "responses": _responses(_content("Found.", schema), *errors),
    }


def _health(operation: str, summary: str, key: str, *errors: int) -> Json:
    schema = {"type": "object", "properties": {key: {"type": "boolean"}}, "required": [key]}
    found = _get(operation, summary, schema, *errors)
    return found | {"security": []}


def _responses(ok: Json, *errors: int) -> Json:
    found: Json = {"200": ok}
    for status in sorted({*errors, 401, 403, 500}):
        schema = {MEDIA_TYPE: {"schema": _ref("Problem")}}
        found[str(status)] = {"description": _TEXTS[status], "content": schema}
        if status == 503:
            found["503"]["headers"] = {"Retry-After": {"schema": {"type": "integer"}}}
    return found


def _content(text: str, schema: Json) -> Json:
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _path_parameter(name: str, text: str) -> Json:
    return {"name": name, "in": "path", "required": True, "description": text, "schema": _STRING}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _list(key: str, item: Json) -> Json:
    array = {"type": "array", "items": item}
    return {"type": "object", "properties": {key: array}, "required": [key]}


def _object(properties: Json, *optional: str) -> Json:
    required = [key for key in properties if key not in optional]
    return {"type": "object", "properties": properties, "required": required}


_STRING = {"type": "string"}
_OBJECT: Json = {"type": "object"}
_SCORE = {"type": ["number", "null"], "minimum": 0, "maximum": 1}
_TEXT = {"type": ["string", "null"]}
_WHOLE = {"type": "integer"}

_RANKED = _object({"label": _STRING, "index": _WHOLE, "score": {"type": "number"}})

_HEATMAP = {
    "type": ["object", "null"],
    "description": "kind overlay: picture. kind map: width, height, values (rows), peak, box (left, "
    "top, right, bottom of what lies under it, fractions of the upright photo), picture (colours).",
    "properties": {"kind": {"enum": ["overlay", "map"]}, "picture": _STRING},
    "required": ["kind", "picture"],
}

_SCHEMAS: Json = {
    "Problem": _object(
        {
            "type": _STRING,
            "title": _STRING,
            "status": _WHOLE,
            "detail": _STRING,
            "error": {"type": "string", "description": "Below /v2: the detail."},
        },
        "error",
    ),
    "Prediction": _object(
        {
            "path": {"type": "string", "description": "Name of the photo's file."},
            "label": _TEXT,
            "index": {"type": ["integer", "null"]},
            "score": _SCORE,
            "calibrated_score": _SCORE,
            "unknown": {"type": ["boolean", "null"]},
            "top": {"type": "array", "items": _RANKED},
            "ms": {"type": ["object", "null"], "additionalProperties": {"type": "number"}},
            "error": _TEXT,
            "heatmap": _HEATMAP,
        },
        "heatmap",
    ),
    "Predictions": _object(
        {
            "model": _STRING,
            "results": {"type": "array", "items": {"$ref": "#/components/schemas/Prediction"}},
        }
    ),
    "Summary": _object(
        {"name": _STRING, "format": _STRING, "classes": _WHOLE, "default": {"type": "boolean"}}
    ),
    "Card": _object(
        {
            "name": _STRING,
            "format": _STRING,
            "class_names": {"type": "array", "items": _STRING},
            "input": _OBJECT,
            "preprocess": _OBJECT,
            "output": _OBJECT,
            "about": _OBJECT,
            "tensor": _OBJECT,
            "interpreter": _STRING,
            "heatmap": {"type": "boolean"},
            "no_heatmap": _TEXT,
            "bundle": {"type": ["object", "null"]},
            "loaded": _STRING,
        }
    ),
    "InferenceRequest": _object(
        {
            "id": _STRING,
            "parameters": _OBJECT,
            "inputs": {
                "type": "array",
                "minItems": 1,
                "maxItems": 1,
                "items": _object(
                    {
                        "name": _STRING,
                        "datatype": _STRING,
                        "shape": {"type": "array", "items": _WHOLE},
                        "parameters": _OBJECT,
                        "data": {"type": "array"},
                    },
                    "parameters",
                    "data",
                ),
            },
            "outputs": {
                "type": "array",
                "items": _object({"name": _STRING, "parameters": _OBJECT}, "parameters"),
            },
        },
        "id",
        "parameters",
        "outputs",
    ),
    "InferenceResponse": _object(
        {
            "model_name": _STRING,
            "model_version": _STRING,
            "id": _STRING,
            "outputs": {"type": "array", "items": _OBJECT},
        },
        "id",
    ),
}
