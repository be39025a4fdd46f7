"""``edge-classify serve``."""

from __future__ import annotations

import functools
import logging
import os
import re
from typing import TYPE_CHECKING

import click

from ..console import EdgeCommand, Terminated
from ..errors import UsageError
from .options import engine_options
from .settings_options import settings_options

if TYPE_CHECKING:
    from ..classifier import Classifier
    from ..engine import Engine
    from ..serving.service import Server
    from ..serving.settings import ServeSettings
    from ..settings import ModelSettings
    from ..web.address import Resolved
    from ..web.token import Token

_log = logging.getLogger("edge_runtime")

_VARIABLE = "EDGE_CLASSIFY_TOKEN"
_TOKEN_FILE = "--token-file"  # noqa: S105  # the option's name

#: Megapixels that a server decodes unless the variable says otherwise: anybody may send a photo,
#: and several are decoded at once.
_MEGAPIXELS = 50

#: Seconds between looks at the files of models.
_LOOK = 1.0

#: An origin as browsers send it (RFC 6454, 6.2).
_ORIGIN = re.compile(r"https?://[^/\s?#@*,]+\Z")


@click.command(
    cls=EdgeCommand,
    example="edge-classify serve bundle --port 8080\n"
    "curl -F photo=@photo.jpg http://127.0.0.1:8080/v1/classify",
)
@click.argument("models", nargs=-1, required=True, metavar="[NAME=]MODEL...")
@click.option(
    "--format",
    "fmt",
    metavar="FMT",
    help="Artifact of the bundles, or `auto`: the fastest that passed. Default: each bundle's own.",
)
@engine_options
@settings_options
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on. Any but this machine's own loopback needs a token.",
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0: any free."
)
@click.option(
    _TOKEN_FILE,
    metavar="FILE",
    help=f"File with the token that is asked for. Default: {_VARIABLE}.",
)
@click.option("--insecure", is_flag=True, help="Any address and any Host without a token.")
@click.option("--tls-cert", metavar="FILE", help="Certificate chain (PEM), for HTTPS.")
@click.option("--tls-key", metavar="FILE", help="Its private key (PEM).")
@click.option(
    "--cors",
    "origins",
    multiple=True,
    metavar="ORIGIN",
    help="Pages of this origin may ask, such as https://example.org. Repeatable.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    help="Threads that decode photos. Default: the usable cores, at most 4.",
)
@click.option(
    "--max-queue",
    type=click.IntRange(1, 10000),
    default=8,
    show_default=True,
    help="Requests of a model that are answered or wait; one more gets 503.",
)
@click.option(
    "--max-batch",
    type=click.IntRange(1, 256),
    default=8,
    show_default=True,
    help="Photos a run, of a model that takes any number; only what waits already.",
)
@click.option(
    "--max-body-mb",
    type=click.FloatRange(0.001, 1024),
    default=20,
    show_default=True,
    help="MiB of a request.",
)
@click.option(
    "--max-photos",
    type=click.IntRange(1, 1000),
    default=16,
    show_default=True,
    help="Photos in a request.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0.1, 3600),
    default=30,
    show_default=True,
    metavar="SECONDS",
    help="For a body to arrive, and again for its answer.",
)
@click.option(
    "--watch",
    is_flag=True,
    help="Load a model anew when its file was replaced: by mv, not overwritten.",
)
def serve(
    models: tuple[str, ...],
    fmt: str | None,
    engine: Engine,
    settings: ModelSettings | None,
    host: str,
    port: int,
    token_file: str | None,
    insecure: bool,
    tls_cert: str | None,
    tls_key: str | None,
    origins: tuple[str, ...],
    workers: int | None,
    max_queue: int,
    max_batch: int,
    max_body_mb: float,
    max_photos: int,
    timeout: float,
    watch: bool,
) -> None:
    """Serve models over HTTP.

    MODEL is a bundle, a .tflite or .onnx file; its name is the file's, or NAME. There are a page at /,
    POST /v1/classify for photos, the Open Inference Protocol below /v2 for tensors, /metrics, and the
    API's description at /docs and /openapi.json.

    SIGTERM and Ctrl-C end it with exit code 0 after the requests in flight; SIGHUP loads the models
    anew, without a gap.
    """
    from ..serving.naming import named_models
    from ..serving.settings import ServeSettings
    from ..web import require_server
    from ..web.address import Address, listen, resolve
    from ..web.token import read_token

    paths = named_models(models)
    _check_origins(origins)
    tls = _tls(tls_cert, tls_key)
    token = read_token(token_file, _TOKEN_FILE, _VARIABLE)
    resolved = resolve(Address(host.strip("[]"), port), "--host")
    _require_token(resolved, token, insecure)
    require_server("serve models")
    _limit_pixels()
    limits = ServeSettings(
        max_queue=max_queue,
        max_body=int(max_body_mb * (1 << 20)),
        max_photos=max_photos,
        timeout=timeout,
        workers=workers,
        max_batch=max_batch,
    )
    from ..classifier import Classifier
    from ..records import replace
    from ..serving.app import Access
    from ..serving.service import Server, run
    from ..stream.signals import Signals

    # Models are replaced under a server that runs: also by whoever overwrites the mapped file.
    own = replace(engine, private=True)

    def opener(path: str) -> Classifier:
        return Classifier.open(path, fmt, engine=own, settings=settings, probe=True)

    def make() -> Server:
        listener = listen(resolved, "--host")
        try:
            access = Access(
                token,
                f"edge_classify_serve_{listener.getsockname()[1]}",
                insecure,
                origins,
            )
            openers = {
                name: (path, functools.partial(opener, path)) for name, path in paths.items()
            }
            server = Server(openers, listener, limits, access, tls, _LOOK if watch else None)
        except BaseException:
            listener.close()
            raise
        _tell(resolved, listener.getsockname()[1], token, tls is not None, limits, list(paths))
        return server

    with Signals() as signals:
        try:
            run(make, lambda server: None, signals)
        except (KeyboardInterrupt, Terminated):
            _log.info("stopped before it began.")


def _tell(
    resolved: Resolved,
    port: int,
    token: Token | None,
    https: bool,
    limits: ServeSettings,
    names: list[str],
) -> None:
    import socket

    from ..web.address import Address

    host = resolved.address.host
    if host in ("0.0.0.0", "::"):  # noqa: S104  # compared with, not bound to
        host = socket.gethostname()
    url = f"http{'s' if https else ''}://{Address(host, port)}/"
    needs = "" if token is None else " (asks for the token)"
    _log.info("serving %s: %s%s", ", ".join(names), url, needs)
    if token is None and not resolved.loopback:
        _log.warning("--insecure: everybody who reaches %s may use it.", resolved.address)


def _require_token(resolved: Resolved, token: Token | None, insecure: bool) -> None:
    if token is not None or resolved.loopback or insecure:
        return
    from ..web.token import HOW_TO

    raise UsageError(
        f"--host {resolved.address.host}: others can reach this address, so it needs a token. Make "
        f"one: {HOW_TO}; then name it with {_TOKEN_FILE} token, or put it into the environment "
        f"variable {_VARIABLE}. --insecure does without."
    )


def _limit_pixels() -> None:
    """Refuse smaller photos than elsewhere while the command runs, unless the user says what."""
    name = "EDGE_CLASSIFY_MAX_MEGAPIXELS"
    if name not in os.environ:
        os.environ[name] = str(_MEGAPIXELS)
        click.get_current_context().call_on_close(lambda: os.environ.pop(name, None))


def _check_origins(origins: tuple[str, ...]) -> None:
    for origin in origins:
        if not _ORIGIN.match(origin):
            raise UsageError(
                f"--cors {origin}: expected an origin, scheme and host without a path, such as "
                "https://example.org. There is no wildcard."
            )


def _tls(cert: str | None, key: str | None) -> tuple[str, str] | None:
    """The two files, tried."""
    if cert is None and key is None:
        return None
    if cert is None or key is None:
        raise UsageError("--tls-cert and --tls-key: give both, or neither.")
    import ssl

    for option, file in (("--tls-cert", cert), ("--tls-key", key)):
        if not os.path.isfile(file):
            raise UsageError(f"{option} {file}: no such file.")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password="")
    except ssl.SSLError as error:
        from ..errors import DataError

        raise DataError(
            f"--tls-cert {cert}, --tls-key {key}: no certificate and its key without a password, in "
            f"PEM ({error.reason or error})."
        ) from error
    return cert, key
