"""Drives a headless Chromium through its DevTools protocol over a pipe; needs nothing but it.

https://chromedevtools.github.io/devtools-protocol/ says what :meth:`Page.send` can be sent.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

#: Seconds for a busy machine.
PATIENCE = 60.0


def chromium() -> str:
    """The browser; skips the test where there is none."""
    found = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    if found is None:
        pytest.skip("no Chromium on this machine")
    return found


class Browser:
    """One headless browser with a profile of its own."""

    def __init__(self, program: str, folder: Path, extra: Sequence[str] = ()) -> None:
        """Start it, with ``extra`` options."""
        reads, its_write = os.pipe()
        its_read, writes = os.pipe()
        # Out of the way of 3 and 4, which are the ones that the browser knows.
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 20) for fd in (its_read, its_write)]

        def arrange() -> None:
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        self._log = open(folder / "chromium.log", "wb")  # noqa: SIM115  # closed with the browser
        options = [
            "--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--no-first-run",
            "--disable-gpu", "--disable-extensions", "--disable-background-networking",
            "--disable-dev-shm-usage", "--hide-scrollbars", f"--user-data-dir={folder / 'profile'}",
        ]  # fmt: skip
        self._process = subprocess.Popen(
            [program, *options, *extra, "about:blank"],
            preexec_fn=arrange,
            close_fds=False,
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )
        for fd in (its_read, its_write, *high):
            os.close(fd)
        self._writes, self._reads = os.fdopen(writes, "wb", 0), os.fdopen(reads, "rb")
        self._answers: dict[int, dict[str, Any]] = {}
        self.events: list[dict[str, Any]] = []
        self._changed, self._count = threading.Condition(), 0
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._thread.join(5)
        for file in (self._writes, self._reads, self._log):
            file.close()

    def send(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Ask, and wait for the answer."""
        with self._changed:
            self._count += 1
            number = self._count
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        self._writes.write(json.dumps(message).encode() + b"\0")
        with self._changed:
            assert self._changed.wait_for(lambda: number in self._answers, PATIENCE), method
            answer = self._answers.pop(number)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def open(self, url: str, width: int = 1280, height: int = 800, dark: bool = False) -> Page:
        """A new page of a size."""
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, session)
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.send(f"{domain}.enable")
        page.send(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 500,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        page.send("Emulation.setEmulatedMedia", features=[scheme])
        page.send("Page.navigate", url=url)
        return page

    def _listen(self) -> None:
        rest = b""
        while True:
            data = os.read(self._reads.fileno(), 1 << 16)
            if not data:
                return
            *messages, rest = (rest + data).split(b"\0")
            with self._changed:
                for text in messages:
                    message = json.loads(text)
                    if "id" in message:
                        self._answers[message["id"]] = message
                    else:
                        self.events.append(message)
                self._changed.notify_all()


class Page:
    """One page of a browser."""

    def __init__(self, browser: Browser, session: str) -> None:
        """Known by its session."""
        self._browser, self._session = browser, session

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Ask this page."""
        return self._browser.send(method, self._session, **parameters)

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression; promises are waited for."""
        answer = self.send(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def text(self, element: str) -> str:
        """What an element says."""
        return str(self.evaluate(f"document.getElementById({element!r})?.textContent ?? ''"))

    def click(self, element: str) -> None:
        """Click it as a mouse does."""
        box = self.evaluate(
            f"(() => {{ const e = document.getElementById({element!r}); e.scrollIntoView(); const b = "
            "e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.send(
                "Input.dispatchMouseEvent",
                type=kind, x=box[0], y=box[1], button="left", clickCount=1,
            )  # fmt: skip

    def press(self, key: str, code: int) -> None:
        """Press a key."""
        for kind in ("rawKeyDown", "keyUp"):
            self.send(
                "Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code
            )

    def choose(self, element: str, *files: Path) -> None:
        """Choose files in an ``<input type=file>``."""
        root = self.send("DOM.getDocument")["root"]["nodeId"]
        node = self.send("DOM.querySelector", nodeId=root, selector=f"#{element}")["nodeId"]
        self.send("DOM.setFileInputFiles", nodeId=node, files=[str(file) for file in files])

    def wait(self, condition: str | Callable[[], object], seconds: float = PATIENCE) -> None:
        """Until a JavaScript expression or a function says yes; it may fail before.

        A page that is just being loaded has no elements yet.
        """
        end = time.monotonic() + seconds
        while not self._holds(condition):
            assert time.monotonic() < end, f"not within {seconds:g} s: {condition}"
            time.sleep(0.1)

    def to_front(self) -> None:
        """Pages behind another one count as hidden."""
        self.send("Page.bringToFront")

    def _holds(self, condition: str | Callable[[], object]) -> bool:
        if callable(condition):
            return bool(condition())
        answer = self.send("Runtime.evaluate", expression=condition, returnByValue=True)
        return "exceptionDetails" not in answer and bool(answer["result"].get("value"))

    def screenshot(self, file: Path, whole: bool = True) -> None:
        """A PNG of the page, below the fold too."""
        if whole:
            height = self.evaluate("Math.ceil(document.documentElement.scrollHeight)")
            width = self.evaluate("innerWidth")
            clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
            shot = self.send(
                "Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip
            )
        else:
            shot = self.send("Page.captureScreenshot", format="png")
        file.write_bytes(base64.b64decode(shot["data"]))

    @property
    def complaints(self) -> list[str]:
        """What the browser complained of: errors of scripts, refusals by the policy, failures."""
        found = []
        for event in self._browser.events:
            if event.get("sessionId") != self._session:
                continue
            parameters = event["params"]
            if event["method"] == "Runtime.exceptionThrown":
                found.append(str(parameters["exceptionDetails"]))
            elif event["method"] == "Log.entryAdded":
                entry = parameters["entry"]
                if entry["level"] in ("error", "warning"):
                    found.append(f"{entry['text']} {entry.get('url', '')}")
        return found

    @property
    def hosts(self) -> set[str]:
        """Everything that was asked for, by its origin."""
        return {
            "/".join(event["params"]["request"]["url"].split("/")[:3])
            for event in self._browser.events
            if event["method"] == "Network.requestWillBeSent"
            and event.get("sessionId") == self._session
        }


def check_accessibility(page: Page) -> None:
    """No fault that axe-core calls serious."""
    script = os.environ.get("EDGE_CLASSIFY_AXE")
    if script is None:
        return
    page.evaluate(f"{Path(script).read_text(encoding='utf-8')};0")
    found = page.evaluate(
        "axe.run().then((r) => r.violations.filter((v) => ['serious', 'critical'].includes(v.impact))"
        ".map((v) => v.id + ': ' + v.nodes.map((n) => n.failureSummary).join('; ')))"
    )
    assert found == []
