"""Fixtures of the runtime's tests; the models behind them are in color_model.py."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from color_model import ColorModels, build


@pytest.fixture(scope="session")
def color_models(tmp_path_factory: pytest.TempPathFactory) -> ColorModels:
    """The known classifier in every form; read-only."""
    return build(tmp_path_factory.mktemp("color"))


@pytest.fixture
def bundle(color_models: ColorModels, tmp_path: Path) -> Path:
    """A copy of its bundle that a test may spoil."""
    return Path(shutil.copytree(color_models.bundle, tmp_path / "bundle"))


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checksums that one test has seen are unknown to the next."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(autouse=True)
def no_trial_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each would cost a process; the tests of edge_runtime.tried switch them on again."""
    monkeypatch.setenv("EDGE_CLASSIFY_PROBE", "0")
