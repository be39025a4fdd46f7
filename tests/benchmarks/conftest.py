"""Fixtures of the benchmark's tests; the models behind them are in bench_models.py."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from bench_models import build_bundle, write_photos


@pytest.fixture(scope="session")
def bench_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of a TFLite and an ONNX file; read-only."""
    return build_bundle(tmp_path_factory.mktemp("bench") / "bundle")


@pytest.fixture
def own_bundle(bench_bundle: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may spoil."""
    return Path(shutil.copytree(bench_bundle, tmp_path / "bundle"))


@pytest.fixture(scope="session")
def bench_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Labelled photos of which 8 of 9 readable ones are right; read-only."""
    return write_photos(tmp_path_factory.mktemp("bench") / "photos")


@pytest.fixture(autouse=True)
def own_bench_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checksums that one test has seen are unknown to the next."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
