"""The demo seen by Debian's real programs: promtool reads its page, Prometheus scrapes it and answers queries."""

import socket
import subprocess
import time
from collections.abc import Callable

import requests
from programs import find
from test_cli import served


def test_promtool_accepts_the_page_of_the_demo():
    promtool = find("promtool")
    with served("demo") as (_, url):
        page = requests.get(f"{url}/metrics", timeout=10).content
    done = subprocess.run([promtool, "check", "metrics"], input=page, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_prometheus_scrapes_the_demo_and_knows_the_number_of_its_artifacts(tmp_path):
    prometheus = find("prometheus")
    with served("demo") as (_, url):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        config = tmp_path / "prometheus.yml"
        config.write_text(f"""\
scrape_configs:
  - job_name: har-exporter
    scrape_interval: 1s
    scrape_timeout: 1s
    static_configs:
      - targets: ["{url.removeprefix("http://")}"]
""")
        command = [prometheus, f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'data'}"]
        address = f"127.0.0.1:{port}"
        with subprocess.Popen([*command, f"--web.listen-address={address}"], stderr=subprocess.DEVNULL) as process:
            try:
                query = f"http://{address}/api/v1/query"
                found = eventually(lambda: value(query, "sum(har_artifacts)"))
                assert found == value_in(requests.get(f"{url}/metrics", timeout=10).text, "har_artifacts{")
                assert value(query, "sum(har_up)") == 3
                assert value(query, "sum(up)") == 1
            finally:
                process.terminate()


def value(query: str, expression: str) -> float | None:
    try:
        answer = requests.get(query, params={"query": expression}, timeout=5).json()
    except requests.RequestException:
        return None
    result = answer.get("data", {}).get("result", [])
    return float(result[0]["value"][1]) if result else None


def value_in(text: str, prefix: str) -> float:
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(prefix))


def eventually(ask: Callable[[], float | None]) -> float:
    """Ask until there is an answer: another process has no event to wait for."""
    for _ in range(300):
        if (answer := ask()) is not None:
            return answer
        time.sleep(0.1)
    raise AssertionError("no answer within 30 s")
