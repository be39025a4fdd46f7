"""Does ``edge-classify serve`` outlive clients that mean it harm?

Run ``python -m benchmarks.perf.serve_fuzz MODEL --schemathesis VENV/bin/schemathesis``, where VENV
has ``schemathesis`` (which is no dependency of the project; left out, that part is). One server,
after a warm-up, meets

- schemathesis on its OpenAPI document, with every check but those for answers that a client cannot
  tell apart (``--max-examples`` a case);
- ``--bodies`` damaged forms, photos and tensors, from ``--seed`` on;
- 200 connections that send a header a second and never end, while a photo has to be answered;
- a gzip bomb, a photo of 60,000 x 60,000 pixels, bodies longer and shorter than they say, chunks
  that are none.

Exit code 4 for a server error but 503, a traceback in the log, an answer that is no problem although
it refuses, memory above 20 MB more than after the warm-up, or handles that stay open.
"""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import random
import socket
import struct
import subprocess
import sys
import time
import zlib
from collections import Counter
from pathlib import Path

import click

from benchmarks.perf.common import EXIT_CHECK_FAILED, first_photo, print_machine, shared_option
from benchmarks.perf.serve_process import ServeProcess, serving

#: MB: damaged photos of many sizes leave the allocator's pools larger than whole ones.
_GROWTH = 20.0

_LORIS = 200

#: What an answer may not be.
_CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_headers_conformance,response_schema_conformance,unsupported_method"
)

_FORM = "multipart/form-data; boundary=b"


def _form(photo: bytes) -> bytes:
    head = b'--b\r\nContent-Disposition: form-data; name="photo"; filename="a.jpg"\r\n\r\n'
    field = b'\r\n--b\r\nContent-Disposition: form-data; name="top_k"\r\n\r\n2\r\n--b--\r\n'
    return head + photo + field


def _seeds(photo: bytes, takes: dict[str, object]) -> list[tuple[str, str, bytes]]:
    shape = [1, *list(takes["shape"])[1:]]  # type: ignore[call-overload]
    given = {"name": takes["name"], "datatype": takes["datatype"], "shape": shape, "data": [0]}
    infer = "/v2/models/model/infer"
    return [
        ("/v1/classify", "image/jpeg", photo),
        ("/v1/classify?heatmap=map&roi=0,0,0.5,0.5", "image/jpeg", photo),
        ("/v1/classify", _FORM, _form(photo)),
        ("/v1/classify?top_k=3", _FORM, _form(photo[:400])),
        (infer, "application/json", json.dumps({"inputs": [given]}).encode()),
    ]


def _damaged(content: bytes, chance: random.Random) -> bytes:
    data = bytearray(content)
    for _ in range(chance.randint(1, 8)):
        if not data:
            break
        at = chance.randrange(min(len(data), chance.choice((64, 1024, len(data)))))
        kind = chance.randrange(5)
        if kind == 0:
            data[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            del data[at : at + chance.randint(1, 200)]
        elif kind == 2:
            data[at:at] = chance.randbytes(chance.randint(1, 50))
        elif kind == 3:
            data[at:at] = data[at : at + chance.randint(1, 500)]
        else:
            del data[at:]
    return bytes(data)


class Fuzz:
    """What was found."""

    def __init__(self, server: ServeProcess) -> None:
        self.server = server
        self.statuses: Counter[int] = Counter()
        self.faults: list[str] = []

    def ask(self, path: str, kind: str, body: bytes, **headers: str) -> None:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        try:
            named = {"Content-Type": kind} | {k.replace("_", "-"): v for k, v in headers.items()}
            connection.request("POST", path, body, named)
            answer = connection.getresponse()
            text = answer.read()
        except (http.client.HTTPException, OSError) as error:
            self.faults.append(f"{path}: {error!r}")
            return
        finally:
            connection.close()
        self.statuses[answer.status] += 1
        problem = (answer.getheader("Content-Type") or "").startswith("application/problem+json")
        if answer.status >= 400 and not problem:
            self.faults.append(f"{path}: {answer.status} without a problem")
        if answer.status >= 500 and answer.status != 503:
            self.faults.append(f"{path}: {answer.status} {text[:300]!r}")

    def raw(self, *pieces: bytes) -> None:
        """Bytes as they are."""
        with (
            contextlib.suppress(ConnectionError),
            socket.create_connection(("127.0.0.1", self.server.port), timeout=60) as client,
        ):
            for piece in pieces:
                client.sendall(piece)
            client.shutdown(socket.SHUT_WR)
            found = client.recv(65536)
            if found.startswith(b"HTTP/1.1 5") and not found.startswith(b"HTTP/1.1 503"):
                self.faults.append(f"raw: {found[:200]!r}")

    def get(self, path: str) -> bytes:
        """A page."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        connection.request("GET", path)
        content = connection.getresponse().read()
        connection.close()
        return content


def _liars(fuzz: Fuzz) -> None:
    head = b"POST /v1/classify HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/png\r\n"
    fuzz.raw(head + b"Content-Length: 1000\r\n\r\nabc")
    fuzz.raw(head + b"Content-Length: 3\r\n\r\nabcdefgh\r\n\r\n")
    fuzz.raw(head + b"Content-Length: -1\r\n\r\nabc")
    fuzz.raw(head + b"Content-Length: 99999999999\r\n\r\nabc")
    fuzz.raw(head + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc")
    fuzz.raw(head + b"Transfer-Encoding: chunked\r\n\r\nfffffffff\r\nabc")
    fuzz.raw(head + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
    fuzz.ask("/v1/classify", "image/png", gzip.compress(bytes(50 << 20)), Content_Encoding="gzip")
    fuzz.ask("/v1/classify", "image/png", _bomb(60_000))
    fuzz.ask("/v1/classify?heatmap=1", "image/png", _bomb(7_000))


def _bomb(side: int) -> bytes:
    """A PNG of one colour: a few kB that unpack to side * side bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(side + 1) * min(side, 2000), 9)
    start = b"\x89PNG\r\n\x1a\n"
    return start + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def _loris(fuzz: Fuzz, photo: bytes, seconds: float) -> None:
    """Connections that never end a request; a photo is answered all the same."""
    held = []
    for _ in range(_LORIS):
        client = socket.create_connection(("127.0.0.1", fuzz.server.port), timeout=60)
        client.sendall(b"POST /v1/classify HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        held.append(client)
    end, cut = time.monotonic() + seconds, 0
    while time.monotonic() < end and held:
        fuzz.ask("/v1/classify", "image/jpeg", photo)
        for client in list(held):
            try:
                client.sendall(b"X-A: b\r\n")
            except OSError:
                held.remove(client)
                cut += 1
        time.sleep(1)
    for client in held:
        client.close()
    click.echo(f"slow-loris: {cut} of {_LORIS} cut off within {seconds:g} s")
    if cut < _LORIS:
        fuzz.faults.append("slow-loris: some were never cut off")


def _schemathesis(program: str, server: ServeProcess, examples: int) -> bool:
    url = f"http://127.0.0.1:{server.port}/openapi.json"
    command = [program, "run", url, "--checks", _CHECKS, "--max-examples", str(examples)]
    done = subprocess.run([*command, "--no-color"], capture_output=True, text=True, check=False)
    tail = done.stdout.strip().splitlines()
    click.echo("\n".join(tail if done.returncode else tail[-12:]))
    return done.returncode == 0


@click.command()
@click.argument("model")
@shared_option()
@click.option("--schemathesis", help="The program.")
@click.option("--max-examples", default=100, show_default=True, help="Of schemathesis.")
@click.option("--bodies", default=5000, show_default=True)
@click.option("--seed", default=0, show_default=True)
def main(
    model: str, shared: Path, schemathesis: str | None, max_examples: int, bodies: int, seed: int
) -> None:
    """Attack."""
    print_machine()
    photo = Path(first_photo(shared)).read_bytes()
    with serving(f"model={model}") as server:
        fuzz = Fuzz(server)
        takes = json.loads(fuzz.get("/v2/models/model"))["inputs"][0]
        seeds = _seeds(photo, takes)
        for number in range(100):
            fuzz.ask(*seeds[number % len(seeds)])
        before, handles, threads = server.megabytes, server.handles, server.threads
        if schemathesis is not None and not _schemathesis(schemathesis, server, max_examples):
            fuzz.faults.append("schemathesis: see above")
        chance = random.Random(seed)  # noqa: S311  # no secret
        for _ in range(bodies):
            path, kind, body = chance.choice(seeds)
            fuzz.ask(path, kind, _damaged(body, chance))
        _liars(fuzz)
        _loris(fuzz, photo, 15.0)
        fuzz.ask("/v1/classify", "image/jpeg", photo)
        time.sleep(3)  # it gives memory back when it is idle
        deadline = time.monotonic() + 15
        while server.handles > handles and time.monotonic() < deadline:
            time.sleep(0.2)
        grown, lost = server.megabytes - before, server.handles - handles
        if "Traceback" in server.log.read_text():
            fuzz.faults.append("a traceback in the log")
        click.echo(
            f"{sum(fuzz.statuses.values())} requests: {dict(sorted(fuzz.statuses.items()))}, memory "
            f"{grown:+.1f} MB, handles {lost:+d}, threads {server.threads - threads:+d}"
        )
    if grown > _GROWTH or lost > 0:
        fuzz.faults.append("memory or handles")
    for fault in fuzz.faults[:20]:
        click.echo(f"fault: {fault}")
    if fuzz.faults:
        sys.exit(EXIT_CHECK_FAILED)


if __name__ == "__main__":
    main()
