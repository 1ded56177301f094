"""Debian's Prometheus and Alertmanager around an exporter, and rules in a hurry."""

import json
import re
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import requests
import yaml

from tests.support.programs import find

PATIENCE = 60.0  # seconds until a wait gives up on a test that hangs

_UNITS = {"s": 1 / 60, "m": 1, "h": 60, "d": 1440}


def hurried(value: Any) -> Any:
    """Return rules or routing in which each minute is a second: every `for`, window, offset, interval and age."""
    if isinstance(value, dict):
        return {name: _seconds(item) if name in _DURATIONS else hurried(item) for name, item in value.items()}
    if isinstance(value, list):
        return [hurried(item) for item in value]
    if isinstance(value, str):
        value = re.sub(r"(?<=[-+] )(600|900|3600|604800)\b", lambda found: f"{int(found[0]) / 60:g}", value)
        return re.sub(r"(?<=\[)\w+(?=\])|(?<=offset )\w+", lambda found: _seconds(found[0]), value)
    return value


_DURATIONS = {"for", "keep_firing_for", "group_wait", "group_interval", "repeat_interval"}


def _seconds(duration: str) -> str:
    return f"{round(1000 * int(duration[:-1]) * _UNITS[duration[-1]])}ms"


def eventually(ask: Callable[[], Any]) -> Any:
    """Ask until there is an answer: another process has no event to wait for."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if answer := ask():
            return answer
        time.sleep(0.1)
    raise AssertionError(f"no answer within {PATIENCE:.0f} s")


class Prometheus:
    """A running Prometheus.

    Attributes:
        url: where it listens.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def query(self, expression: str) -> list[Any]:
        """Return the samples of an instant query; fails the test when it cannot be parsed or run."""
        answer = requests.get(f"{self.url}/api/v1/query", params={"query": expression}, timeout=10).json()
        assert answer["status"] == "success", (expression, answer)
        return answer["data"]["result"]

    def firing(self, alert: str) -> bool:
        """Whether an alert fires at this moment."""
        alerts = requests.get(f"{self.url}/api/v1/alerts", timeout=10).json()["data"]["alerts"]
        return any(found["labels"]["alertname"] == alert and found["state"] == "firing" for found in alerts)


@contextmanager
def prometheus(folder: Path, config: dict[str, Any]) -> Iterator[Prometheus]:
    """Run Debian's Prometheus with a configuration."""
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(config))
    command = [find("prometheus"), f"--config.file={path}", f"--storage.tsdb.path={folder / 'prometheus'}"]
    with _running(command) as url:
        yield Prometheus(url)


@contextmanager
def alertmanager(folder: Path, config: dict[str, Any]) -> Iterator[str]:
    """Run Debian's Alertmanager with a configuration, and yield its address."""
    path = folder / "alertmanager.yml"
    path.write_text(yaml.safe_dump(config))
    command = [find("prometheus-alertmanager"), f"--config.file={path}", f"--storage.path={folder / 'alertmanager'}"]
    with _running([*command, "--cluster.listen-address="]) as url:
        yield url


@contextmanager
def _running(command: list[str]) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with subprocess.Popen([*command, f"--web.listen-address={address}"], stderr=subprocess.DEVNULL) as process:
        try:
            eventually(lambda: _ready(f"http://{address}/-/ready"))
            yield f"http://{address}"
        finally:
            process.terminate()


def _ready(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.RequestException:
        return False


class Receiver(ThreadingHTTPServer):
    """Takes Alertmanager's messages on loopback inside its context."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Message)
        self.messages: list[tuple[str, dict[str, Any]]] = []
        self._began, self._times = time.monotonic(), []

    def __enter__(self):
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()

    @property
    def url(self) -> str:
        """For `webhook_configs`, with the receiver's name behind it."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def report(self) -> Iterator[str]:
        """Yield a line for each message: minutes since the receiver began, receiver, alerts, and the first summary."""
        for when, (receiver, message) in zip(self._times, self.messages, strict=True):
            alerts = Counter(f"{alert['labels']['alertname']} {alert['status']}" for alert in message["alerts"])
            names = ", ".join(f"{count} x {name}" for name, count in alerts.items())
            yield f"{when - self._began:4.0f}m {receiver}: {names}: {message['alerts'][0]['annotations']['summary']}"

    def take(self, receiver: str, message: dict[str, Any]) -> None:
        """Keep a message."""
        self._times.append(time.monotonic())
        self.messages.append((receiver, message))

    def got(self, name: str, status: str) -> list[tuple[str, dict[str, Any]]]:
        """Return the messages so far in which an alert has a status, as receiver and alert."""
        return [
            (receiver, alert)
            for receiver, message in tuple(self.messages)
            for alert in message["alerts"]
            if (alert["labels"]["alertname"], alert["status"]) == (name, status)
        ]


class _Message(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.take(self.path.removeprefix("/"), body)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""
