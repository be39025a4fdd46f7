"""The API's description as a page, made of the OpenAPI document; no script, no other file."""

from __future__ import annotations

import base64
import hashlib
import json
from html import escape
from typing import Any

_STYLE = (
    ":root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;"
    "margin:0 auto;padding:1rem}code,pre{font-family:ui-monospace,monospace;font-size:.9em}"
    "pre{overflow:auto;padding:.75rem;border:1px solid;border-radius:.4rem}"
    "section{border-top:1px solid;padding:.5rem 0}h2{margin:.5rem 0}h2 code{font-size:1rem}"
    "table{border-collapse:collapse}td,th{text-align:left;vertical-align:top;padding:.2rem .8rem "
    ".2rem 0}"
)

#: Style of the page alone, by its hash (Content Security Policy Level 3, 2.3.1).
POLICY = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; style-src "
    f"'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'"
)


def page(document: dict[str, Any]) -> str:
    """The page.

    Args:
        document: Of :func:`edge_runtime.serving.openapi.document`.
    """
    info = document["info"]
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(info['title'])} API</title><style>{_STYLE}</style></head><body><main>"
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1>"
        f"<p>{escape(info['description'])}</p>"
        '<p>For programs: <a href="openapi.json">openapi.json</a></p>'
    ]
    for path, item in document["paths"].items():
        parts += [
            _operation(method, path, operation, item.get("parameters", []))
            for method, operation in item.items()
            if method != "parameters"
        ]
    parts.append("<section><h2>Objects</h2>")
    for name, schema in document["components"]["schemas"].items():
        text = escape(json.dumps(schema, indent=1))
        parts.append(f"<details><summary><code>{name}</code></summary><pre>{text}</pre></details>")
    parts.append("</section></main></body></html>\n")
    return "".join(parts)


def _operation(method: str, path: str, operation: dict[str, Any], shared: list[Any]) -> str:
    rows = [
        f"<tr><td><code>{escape(one['name'])}</code></td><td>{one['in']}</td>"
        f"<td>{escape(_told(one))}</td></tr>"
        for one in [*shared, *operation.get("parameters", [])]
    ]
    body = ", ".join(operation.get("requestBody", {}).get("content", {}))
    answers = [
        f"<tr><td><code>{status}</code></td><td>{escape(answer['description'])}</td></tr>"
        for status, answer in operation["responses"].items()
    ]
    table = f"<table>{''.join(rows)}</table>" if rows else ""
    takes = f"<p>Body: <code>{escape(body)}</code></p>" if body else ""
    return (
        f"<section><h2><code>{method.upper()} {escape(path)}</code></h2>"
        f"<p>{escape(operation['summary'])} {escape(operation.get('description', ''))}</p>"
        f"{table}{takes}<details><summary>Answers</summary><table>{''.join(answers)}</table>"
        "</details></section>"
    )


def _told(parameter: dict[str, Any]) -> str:
    schema = parameter["schema"]
    kind = " or ".join(schema["enum"]) if "enum" in schema else schema["type"]
    text = parameter.get("description") or schema.get("description", "")
    return f"{kind}. {text}" if text else kind
