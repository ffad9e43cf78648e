"""A real browser without a window: chromium, steered by its DevTools protocol."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

_PATIENCE = 60.0
"""Seconds to wait for an answer or for a page; a busy machine is slow."""


class Tab:
    """One page in a browser, with everything that it has done."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection, self._n = connection, 0
        self.events: list[dict[str, Any]] = []
        """Events in the order of their arrival, each with its method and parameters."""
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol and return its result."""
        self._n += 1
        self._connection.send(json.dumps({"id": self._n, "method": method, "params": params}))
        while True:
            answer = json.loads(self._connection.recv(timeout=_PATIENCE))
            if answer.get("id") == self._n:
                assert "error" not in answer, answer
                return dict(answer["result"])
            self._noted(answer)

    def _noted(self, event: dict[str, Any]) -> None:
        self.events.append(event)
        if event.get("method") == "Page.javascriptDialogOpening":
            # An open dialog would block the page for ever.
            self._connection.send(
                json.dumps(
                    {"id": 0, "method": "Page.handleJavaScriptDialog", "params": {"accept": True}}
                )
            )

    def open(self, page: Path, *, width: int, height: int = 900) -> None:
        """Open a file at a width in pixels and wait until its figures are drawn."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        self.call("Page.navigate", url=page.as_uri())
        self.when("document.documentElement.getAttribute('data-drawn')")

    def when(self, script: str) -> Any:
        """Wait until an expression in the page has a value, and return it."""
        until = time.monotonic() + _PATIENCE
        while not (found := self.value(script)):
            assert time.monotonic() < until, self.complaints()
            time.sleep(0.02)
        return found

    def value(self, script: str) -> Any:
        """Return the value of an expression in the page."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        return found["result"].get("value")

    def complaints(self) -> list[str]:
        """Return everything that went wrong: console, exceptions, policy, dialogs."""
        kinds = {
            *("Runtime.exceptionThrown", "Runtime.consoleAPICalled"),
            *("Log.entryAdded", "Page.javascriptDialogOpening"),
        }
        found = [event["params"] for event in self.events if event.get("method") in kinds]
        return [json.dumps(one.get("args", one))[:500] for one in found]

    def requests(self) -> list[str]:
        """Return every address that was requested."""
        return [
            event["params"]["request"]["url"]
            for event in self.events
            if event.get("method") == "Network.requestWillBeSent"
        ]

    def screenshot(self, file: Path, *, whole: bool = False) -> None:
        """Write a picture of the page: of what is seen, or of the whole page."""
        found = self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        file.write_bytes(base64.b64decode(found["data"]))

    def pdf(self) -> bytes:
        """Return the page as it is printed."""
        return base64.b64decode(self.call("Page.printToPDF", printBackground=True)["data"])


@contextmanager
def browser(folder: Path) -> Iterator[Tab]:
    """Run chromium with a profile in a folder; yield its only tab."""
    assert CHROMIUM is not None
    options = ("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run")
    quiet = ("--disable-background-networking", "--disable-component-update", "--disable-sync")
    profile = (f"--user-data-dir={folder}", "--remote-debugging-port=0", "about:blank")
    process = subprocess.Popen(
        [CHROMIUM, *options, *quiet, *profile],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        port = _port(folder / "DevToolsActivePort", process)
        with connect(_tab_of(port), max_size=None, proxy=None) as connection:
            yield Tab(connection)
    finally:
        # Its helpers are in the session that it leads.
        os.killpg(process.pid, 9)
        process.wait()


def _port(file: Path, process: subprocess.Popen[bytes]) -> int:
    until = time.monotonic() + _PATIENCE
    while not (file.exists() and file.read_text().count("\n")):
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.02)
    return int(file.read_text().splitlines()[0])


def _tab_of(port: int) -> str:
    import urllib.request

    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{port}/json/list", timeout=_PATIENCE) as answer:
        tabs = json.load(answer)
    return str(next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page"))
