"""Options of the preview in a browser."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import click

from .packing import Choice, packed

if TYPE_CHECKING:
    from ...classifier import Classifier
    from ...stream.outputs.base import Output
    from ...stream.status import Status
    from ...web.address import Resolved
    from ...web.token import Token

_log = logging.getLogger("edge_runtime")

_DEFAULT = "127.0.0.1:8090"
_VARIABLE = "EDGE_CLASSIFY_PREVIEW_TOKEN"
_TOKEN_FILE = "--preview-token-file"  # noqa: S105  # the option's name

#: Bytes that the system keeps for a client: two pictures, so that a slow one does not see old ones.
_SEND_BUFFER = 1 << 17


class PreviewChoice(Choice):
    """What was said about it."""

    def open(self, classifier: Classifier, status: Status, live: bool) -> list[Output]:
        """The output, if it was asked for; its server runs already.

        Args:
            classifier: The model.
            status: What the run counts.
            live: Whether the source is live.

        Raises:
            UsageError: No such address, or one that needs a token and there is none.
            DataError: The token is none.
            MissingComponent: FastAPI or uvicorn is not installed.
            SystemFailure: The port is taken.
        """
        del live
        if self.values["address"] is None:
            self._refuse_rest()
            return []
        from ...web import require_server
        from ...web.address import Address, listen, parse_address, resolve, url_of
        from ...web.token import read_token

        host, _, port = _DEFAULT.partition(":")
        address = parse_address(self.values["address"], Address(host, int(port)), "--preview")
        token = read_token(self.values["token_file"], _TOKEN_FILE, _VARIABLE)
        resolved = resolve(address, "--preview")
        _require_token(resolved, token)
        require_server("show a preview in a browser", "fastapi")
        from ...stream.preview.output import Preview, PreviewSettings

        defaults = PreviewSettings()
        settings = PreviewSettings(
            self.values["fps"] or defaults.fps, self.values["width"] or defaults.width
        )
        listener = listen(resolved, "--preview", _SEND_BUFFER)
        try:
            preview = Preview(listener, token, status, lambda: _try_heatmap(classifier), settings)
        except BaseException:
            listener.close()
            raise
        needs = "" if token is None else " (asks for the token; or put ?token= and it behind)"
        _log.info("preview: %s%s", url_of(listener, address), needs)
        return [preview]

    def _refuse_rest(self) -> None:
        from ...errors import UsageError

        for name, value in self.values.items():
            if value is not None:
                option = f"--preview-{name.replace('_', '-')}"
                raise UsageError(f"{option}: has no effect without --preview.")


def _require_token(resolved: Resolved, token: Token | None) -> None:
    from ...errors import UsageError
    from ...web.token import HOW_TO

    if token is None and not resolved.loopback:
        raise UsageError(
            f"--preview {resolved.address}: others can reach this address, so it needs a token. "
            f"Make one: {HOW_TO}; then name it with {_TOKEN_FILE} token, or put it into the "
            f"environment variable {_VARIABLE}."
        )


def _try_heatmap(classifier: Classifier) -> None:
    """Raises ModelError where the model gives no heat map."""
    import numpy as np

    spec = classifier.info.preprocess
    classifier.explain_pixels(np.zeros((spec.height, spec.width, 3), np.uint8))


preview_options = packed(
    "preview",
    (
        click.option(
            "--preview",
            "preview_address",
            metavar="[HOST:PORT]",
            is_flag=False,
            flag_value=_DEFAULT,
            help=f"Show the stream on a page in a browser. Default: {_DEFAULT}, which only this "
            "machine can reach; port 0 takes any that is free. Every other address needs a token.",
        ),
        click.option(
            _TOKEN_FILE,
            "preview_token_file",
            metavar="FILE",
            help=f"File with the token that the page asks for. Default: that of {_VARIABLE}.",
        ),
        click.option(
            "--preview-fps",
            "preview_fps",
            type=click.FloatRange(0.1, 60),
            help="Pictures a second at most, made only while somebody looks. Default: 10.",
        ),
        click.option(
            "--preview-width",
            "preview_width",
            type=click.IntRange(64, 7680),
            help="Their width in pixels at most. Default: 960.",
        ),
    ),
    PreviewChoice,
)
