"""A window is a process of its own: what becomes of it, and of the stream."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from stream_results import make_result, wait_for

from edge_runtime.errors import MissingComponent, SystemFailure
from edge_runtime.stream.outputs import window
from edge_runtime.stream.outputs.base import Outlet, StopStream
from edge_runtime.stream.outputs.window import Window
from edge_runtime.stream.status import Status

#: Stands for OpenCV: a window that lives for some turns and remembers what it showed.
_DESKTOP = """
import os
WINDOW_NORMAL = WINDOW_KEEPRATIO = WINDOW_GUI_NORMAL = COLOR_RGB2BGR = WND_PROP_VISIBLE = 0
class error(Exception): pass
shown = []
def namedWindow(*_): {named}
def resizeWindow(*_): pass
def cvtColor(picture, _): return picture
def imshow(_, picture): shown.append(picture.shape)
def waitKey(_):
    import time; time.sleep(0.005)
    return {key} if len(shown) >= 3 else -1
def getWindowProperty(*_): {visible}
"""


@pytest.fixture
def desktop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """Makes an OpenCV that behaves as wished in the window's process."""

    def make(named: str = "pass", key: str = "-1", visible: str = "return 1") -> None:
        text = _DESKTOP.format(named=named, key=key, visible=visible)
        (tmp_path / "cv2.py").write_text(text)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        monkeypatch.setenv("DISPLAY", ":0")

    return make


@pytest.mark.parametrize(
    "how",
    [
        {"key": "ord('q')"},
        {"key": "27"},
        {"visible": "return 0"},
        {"visible": "raise error('no window left')"},
    ],
)
def test_closing_it_ends_the_stream(desktop: object, how: dict[str, str]) -> None:
    assert callable(desktop)
    desktop(**how)
    status = Status("test:", "m")
    outlet = Outlet(Window(), status)

    def show() -> bool:
        outlet.result(make_result())
        return outlet.failure is not None

    wait_for(show)
    assert isinstance(outlet.failure, StopStream)
    assert outlet.close(60) and status.snapshot()["output_failures"] == {}


def test_losing_the_screen_does_not(desktop: object) -> None:
    """Qt ends its process then."""
    assert callable(desktop)
    desktop(visible="os._exit(1)")
    status = Status("test:", "m")
    outlet = Outlet(Window(), status)

    def lost() -> bool:
        outlet.result(make_result())
        return bool(status.snapshot()["output_failures"])

    wait_for(lost)
    assert outlet.failure is None
    assert outlet.close(60)


def test_no_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(SystemFailure, match="no screen"):
        Window()


def test_a_screen_that_is_not_there(desktop: object) -> None:
    assert callable(desktop)
    desktop(named="os.abort()")
    with pytest.raises(SystemFailure, match="screen :0 cannot be used"):
        Window()


def test_headless_opencv(desktop: object) -> None:
    assert callable(desktop)
    desktop(named="raise error('not implemented')")
    with pytest.raises(MissingComponent, match=r"edge-classify\[window\]"):
        Window()


def test_missing_opencv(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "cv2.py").write_text("raise ImportError('none')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("DISPLAY", ":0")
    with pytest.raises(MissingComponent, match="OpenCV is needed"):
        Window()


def test_a_window_that_does_not_open_in_time(
    desktop: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert callable(desktop)
    desktop(named="import time; time.sleep(600)")
    monkeypatch.setattr(window, "_START", 0.5)
    with pytest.raises(SystemFailure, match="no answer"):
        Window()
