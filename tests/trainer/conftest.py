"""What several tests of the trainer need."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import tiny

from edge_runtime.backends.full_model import import_keras
from trainer.network.backbones import BACKBONES


@pytest.fixture(scope="module")
def tiny_backbone() -> Iterator[None]:
    """The backbone ``tiny``, see :mod:`tiny`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(BACKBONES, tiny.TINY.name, tiny.TINY)
        patch.setattr(import_keras().applications, "Tiny", tiny.build, raising=False)
        yield
