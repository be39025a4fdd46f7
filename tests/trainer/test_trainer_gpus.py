"""GPUs take memory only as it is needed, so that two trainings fit on one."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from edge_runtime.backends.full_model import import_keras
from trainer import devices


def test_memory_growth_on_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = SimpleNamespace(name="GPU:0"), SimpleNamespace(name="GPU:1")
    grown = []

    def grow(device: object, on: bool) -> None:
        if device is second:
            raise RuntimeError("Physical devices cannot be modified after being initialized")
        grown.append((device, on))

    experimental = SimpleNamespace(
        set_memory_growth=grow,
        get_device_details=lambda device: {"device_name": "H100"} if device is first else {},
    )
    config = SimpleNamespace(
        list_physical_devices=lambda kind: [first, second], experimental=experimental
    )
    monkeypatch.setattr(devices, "import_tensorflow", lambda: SimpleNamespace(config=config))
    assert devices.gpus() == ["H100", "GPU:1"]
    assert grown == [(first, True)]


@pytest.mark.parametrize("set_by_the_user", [None, "true"])
def test_memory_growth_on_jax(set_by_the_user: str | None, monkeypatch) -> None:
    name = "XLA_PYTHON_CLIENT_PREALLOCATE"
    monkeypatch.setenv(name, set_by_the_user or "")
    if set_by_the_user is None:
        monkeypatch.delenv(name)
    seen = []

    def list_devices() -> list[str]:
        seen.append(os.environ[name])
        return ["cpu:0", "gpu:0"]

    monkeypatch.setattr(devices, "backend", lambda: "jax")
    monkeypatch.setattr(import_keras().distribution, "list_devices", list_devices)
    assert devices.gpus() == ["gpu:0"]
    assert seen == [set_by_the_user or "false"]
