"""The web server of the toolkit's pages: uvicorn on a thread, and who is let in.

Every module but this one, :mod:`.address` and :mod:`.token` needs the extra ``serve``; call
:func:`require_server` first.

- :mod:`.address` reads ``HOST:PORT``, knows loopback from the rest, and listens;
- :mod:`.token` is the secret that lets people in, :mod:`.guards` ask for it, and for the right
  ``Host`` and origin;
- :mod:`.headers` tell browsers what a page may do, :mod:`.assets` are its files;
- :mod:`.protocol` cuts off who is too slow or one too many, :mod:`.tls` does so in handshakes,
  :mod:`.server` runs and stops it all.
"""

from __future__ import annotations

import importlib

from ..errors import missing_package

#: What the extra ``serve`` brings, by module.
_PACKAGES = {"fastapi": "FastAPI", "starlette": "Starlette", "uvicorn": "uvicorn"}


def require_server(purpose: str, framework: str = "starlette") -> None:
    """Import uvicorn and what applications are made with.

    Args:
        purpose: What they are needed for, as the object of "needed to ...".
        framework: Its module; ``fastapi`` takes pydantic with it, and time and memory for that.

    Raises:
        MissingComponent: One of them is not installed.
    """
    for module in (framework, "uvicorn"):
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise missing_package(_PACKAGES[module], "serve", purpose) from error
