"""The settings are read again as a user has it done: a signal, a request, another file in the place of the first."""

import re
import signal
import threading
import time
from pathlib import Path

import pytest
import requests
import yaml

from tests.support import whole
from tests.support.commands import served
from tests.support.upstream import Upstream, make_rows

TIME = "har_exporter_config_last_reload_success_timestamp_seconds"
SUCCEEDED = "har_exporter_config_last_reload_successful"


@pytest.fixture
def upstream():
    with Upstream({"acct": make_rows(3), "acct/org": make_rows(5)}) as upstream:
        yield upstream


@pytest.fixture
def write(tmp_path, upstream):
    """Write the file of settings, and return its path."""

    def write(text=None, **settings):
        given = {"base_url": upstream.url, "api_key": upstream.key, "spaces": "acct", **settings}
        path = tmp_path / "settings.yaml"
        path.write_text(yaml.safe_dump(given) if text is None else text)
        return str(path)

    return write


def samples(url):
    return whole.Scrape(requests.get(f"{url}/metrics", timeout=10).text)


def wait_for(url, reached):
    """Scrape until the samples are as they should be, and return them."""
    deadline = time.monotonic() + 60
    while not reached(found := samples(url)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def reload(url):
    return requests.post(f"{url}/-/reload", timeout=20)


@pytest.mark.parametrize("command", ["serve", "demo"])
def test_a_hangup_has_the_settings_read_again_from_the_moment_that_it_listens(command, write):
    with served(command, config=write(cache_ttl="1m")) as (process, url):
        write(cache_ttl="2m", spaces="acct,acct/org")
        process.send_signal(signal.SIGHUP)
        space = "demo" if command == "demo" else "acct"
        found = wait_for(url, lambda found: found[f'har_refresh_interval_seconds{{space="{space}"}}'] == 120)
        assert ('har_up{space="acct/org"}' in found) is (command == "serve")
        before = found[TIME]
        process.send_signal(signal.SIGHUP)
        wait_for(url, lambda found: found[TIME] > before)


def test_hangups_neither_end_the_process_nor_keep_it_from_ending(write):
    with served(config=write()) as (process, _):
        for _ in range(50):
            process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        while process.poll() is None:
            process.send_signal(signal.SIGHUP)
            time.sleep(0.01)
        assert process.returncode == 0


def test_a_request_is_refused_without_the_setting_and_with_another_method(write):
    with served(config=write()) as (_, url):
        before = samples(url)[TIME]
        refused = reload(url)
        assert (refused.status_code, "web_enable_lifecycle" in refused.text) == (403, True)
        assert samples(url)[TIME] == before
        other = requests.get(f"{url}/-/reload", timeout=10)
        assert (other.status_code, other.headers["Allow"]) == (405, "POST")


def test_a_request_is_answered_once_the_settings_hold_and_with_the_faults_where_they_cannot(write):
    with served(config=write(web_enable_lifecycle="true")) as (_, url):
        served_before = wait_for(url, lambda found: found['har_up{space="acct"}'] == 1)
        write(web_enable_lifecycle="true", cache_ttl="2m")
        answer = reload(url)
        assert (answer.status_code, answer.text) == (200, "OK\n")
        assert samples(url)['har_refresh_interval_seconds{space="acct"}'] == 120
        write(web_enable_lifecycle="true", cache_ttl="soon", api_key="can ary", spaces="acct/org")
        answer = reload(url)
        assert answer.status_code == 500
        assert "cache_ttl" in answer.text
        assert "can ary" not in answer.text
        found = samples(url)
        assert (found[SUCCEEDED], found['har_refresh_interval_seconds{space="acct"}']) == (0, 120)
        write(web_enable_lifecycle="false")
        assert reload(url).status_code == 200
        assert reload(url).status_code == 403
        found = samples(url)
        assert found[SUCCEEDED] == 1
        for name in ("har_snapshot_timestamp_seconds", "har_refresh_duration_seconds"):
            assert found[f'{name}{{space="acct"}}'] == served_before[f'{name}{{space="acct"}}']


def test_flags_and_environment_beat_the_file_in_each_reading(write):
    path = write(web_enable_lifecycle="true", cache_ttl="1m", max_stale="1h")
    with served("--cache-ttl", "77s", config=path, shards="1", findings="off") as (_, url):
        write(web_enable_lifecycle="true", cache_ttl="2m", shards="2", findings="warn")
        assert reload(url).status_code == 200
        assert samples(url)['har_refresh_interval_seconds{space="acct"}'] == 77


def test_a_swap_of_the_symlink_that_leads_to_the_file_is_noticed(upstream, tmp_path):
    """As Kubernetes replaces a ConfigMap: the file is a link through `..data`, which is renamed over."""
    for name, spaces in ("1", "acct"), ("2", "acct,acct/org"):
        (tmp_path / name).mkdir()
        given = {"base_url": upstream.url, "api_key": upstream.key, "spaces": spaces}
        (tmp_path / name / "settings.yaml").write_text(yaml.safe_dump(given))
    (tmp_path / "..data").symlink_to("1")
    (tmp_path / "settings.yaml").symlink_to("..data/settings.yaml")
    with served(config=str(tmp_path / "settings.yaml")) as (_, url):
        before = wait_for(url, lambda found: found['har_up{space="acct"}'] == 1)
        (tmp_path / "..data_tmp").symlink_to("2")
        (tmp_path / "..data_tmp").rename(tmp_path / "..data")
        found = wait_for(url, lambda found: found.get('har_up{space="acct/org"}') == 1)
        served_since = 'har_snapshot_timestamp_seconds{space="acct"}'
        assert found[served_since] == before[served_since]
        assert len([request for request in upstream.requests if request.path.endswith("/acct/+/artifacts")]) == 1


def resources(process):
    """Return the numbers of threads and of open files."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"Threads:\s+(\d+)", status)[1]), len(list(Path(f"/proc/{process.pid}/fd").iterdir()))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="threads and files are counted in /proc")
def test_a_hundred_reloads_under_scrapes_fail_none_and_leave_nothing_behind(write):
    kinds = [
        {"spaces": "acct,acct/org"}, {"request_timeout": "9s"}, {"concurrency": "2"}, {"search_term": "a"}, {},
    ]  # fmt: skip
    answers, done = [], threading.Event()

    def scrape(url):
        while not done.is_set():
            answers.append(requests.get(f"{url}/metrics", timeout=10))

    with served(config=write(web_enable_lifecycle="true")) as (process, url):
        wait_for(url, lambda found: found['har_up{space="acct"}'] == 1)
        before = resources(process)
        scrapers = [threading.Thread(target=scrape, args=(url,)) for _ in range(3)]
        for scraper in scrapers:
            scraper.start()
        for number in range(100):
            write(web_enable_lifecycle="true", **kinds[number % len(kinds)])
            assert reload(url).status_code == 200
        done.set()
        for scraper in scrapers:
            scraper.join(30)
        assert len(answers) > 10
        assert {answer.status_code for answer in answers} == {200}
        assert all('har_up{space="acct"}' in answer.text for answer in answers)
        deadline = time.monotonic() + 30
        while (now := resources(process)) > before or now[1] > before[1]:
            assert time.monotonic() < deadline, (before, now)
            time.sleep(0.1)
