"""A browser without a window, driven over the DevTools protocol through a pair of pipes: no port, no driver."""

import base64
import json
import os
import select
import subprocess
import time
from contextlib import contextmanager

from tests.support import programs

PATIENCE = 30  # seconds until an answer that does not come fails the test

_FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-extensions", "--disable-sync",
    "--hide-scrollbars", "--force-color-profile=srgb", "--remote-debugging-pipe",
)  # fmt: skip

# The browser reads commands from descriptor 3, and writes answers to 4.
_START = 'exec "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1'


class Page:
    """One tab; a command of the protocol is a method name and its parameters."""

    def __init__(self, process):
        self._process = process
        self._last = 0
        self._pending = b""
        self._events = []
        self._session = None
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "DOM", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method, **params):
        """Give a command, and return its result."""
        self._last += 1
        message = {"id": self._last, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._process.stdin.write(json.dumps(message).encode() + b"\0")
        self._process.stdin.flush()
        while (answer := self._receive()).get("id") != self._last:
            self._events.append(answer)
        assert "error" not in answer, (method, answer["error"])
        return answer["result"]

    def _receive(self):
        until = time.monotonic() + PATIENCE
        while b"\0" not in self._pending:
            ready, _, _ = select.select([self._process.stdout], [], [], max(0.0, until - time.monotonic()))
            assert ready, "the browser does not answer"
            piece = os.read(self._process.stdout.fileno(), 1 << 20)
            assert piece, "the browser has ended"
            self._pending += piece
        message, _, self._pending = self._pending.partition(b"\0")
        return json.loads(message)

    def _await(self, method):
        while True:
            for event in self._events:
                if event.get("method") == method:
                    return
            self._events.append(self._receive())

    def open(self, url, *, width, height=800, scheme="light", scale=1):
        """Load a page.

        Args:
            url: where it is.
            width: of the window, CSS pixels.
            height: of the window, CSS pixels.
            scheme: `light` or `dark`, what the reader prefers.
            scale: device pixels for each CSS pixel.
        """
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=width < 600,
        )
        self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self._events.clear()
        self.send("Page.navigate", url=url)
        self._await("Page.loadEventFired")

    def evaluate(self, script):
        """Return the value of an expression of JavaScript, or of what it promises."""
        answer = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def screenshot(self, *, whole=True):
        """Return the page, or the part of it that the window shows, as a PNG."""
        return base64.b64decode(self.send("Page.captureScreenshot", captureBeyondViewport=whole)["data"])

    def accessibility(self):
        """Return the nodes that assistive technology gets, in the order of the page."""
        return [node for node in self.send("Accessibility.getFullAXTree")["nodes"] if not node["ignored"]]

    def told(self, method):
        """Return the parameters of all events of that name since the page was opened."""
        return [event["params"] for event in self._events if event.get("method") == method]


@contextmanager
def page(folder):
    """Run Chromium for as long as a test needs it.

    Args:
        folder: for its profile.
    """
    command = ["sh", "-c", _START, "sh", programs.find("chromium"), *_FLAGS, f"--user-data-dir={folder}"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with process:
        try:
            yield Page(process)
        finally:
            process.stdin.close()  # the end of its commands ends it
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
