"""Peak memory counts this process and none of its parent's."""

from __future__ import annotations

import subprocess
import sys

import pytest

from benchmarks import memory
from edge_runtime.procfs import resident_bytes

MB = 1_000_000


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_peak_of_a_child_holds_nothing_of_its_parent():
    hog = b"x" * (200 * MB)  # resident in this process while the child starts
    peak = int(
        subprocess.run(
            [sys.executable, "-c", "from benchmarks.memory import *; print(peak_bytes())"],
            capture_output=True,
            check=True,
        ).stdout
    )
    assert len(hog) == 200 * MB
    assert peak < 100 * MB  # a bare Python takes about 10 MB


def test_peak_follows_an_allocation():
    before = memory.peak_bytes()
    block = bytearray(b"x") * (before + 50 * MB)
    after = memory.peak_bytes()
    assert after - before > 50 * MB
    assert resident_bytes() > len(block)
    del block
    assert memory.peak_bytes() > after - MB  # Linux counts pages in batches, to some 100 kB


def test_without_proc_the_portable_figure_stands_in(monkeypatch):
    pytest.importorskip("resource")
    monkeypatch.setattr(memory, "_STATUS", "/nonexistent")
    assert memory.peak_bytes() > MB
