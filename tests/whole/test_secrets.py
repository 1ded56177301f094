"""The key is in nothing that anybody can read, whatever the server does with it: one host gets it and no other."""

import json
import re
import traceback
from base64 import b64encode, urlsafe_b64encode
from pathlib import Path
from urllib.parse import quote, unquote

import pytest

from exporter.engine.clients import listing_of
from exporter.harness.errors import RefreshError
from tests.support import whole
from tests.support.clocks import FakeClock
from tests.support.commands import run, served
from tests.support.faults import FAILURES, GOOD, Case, answer, body_of, good_tls, says
from tests.support.rawserver import HEAD, RawServer, sends
from tests.support.settings import settings_of
from tests.support.upstream import Upstream, make_row, make_rows, reply

CANARY = whole.KEY
PAGES = ("/", "/metrics", "/-/healthy", "/-/ready")


SECRET = CANARY.rpartition(".")[2]
RUN = 12  # characters that give the secret away

IN_JSON = {
    "as it is": str,
    "in another case": str.swapcase,
    "escaped": lambda text: "".join(f"\\u{ord(char):04X}" for char in text),
    "escaped slashes": lambda text: text.replace("/", r"\/"),
    "escaped twice": lambda text: text.replace("+", r"\\u002b").replace("/", r"\\/"),
    "URL-coded": lambda text: quote(text, safe=""),
    "URL-coded throughout": lambda text: "".join(f"%{ord(char):02x}" for char in text),
    "URL-coded twice": lambda text: quote(quote(text, safe="")),
    **{
        f"in base64 after {skipped}": lambda text, skipped=skipped: b64encode(b"\0" * skipped + text.encode()).decode()
        for skipped in range(3)
    },
    "in the base64 of addresses": lambda text: urlsafe_b64encode(text.encode()).decode(),
    "a part": lambda text: text[-RUN - 3 : -3],
    "a part in base64": lambda text: b64encode(text[-RUN:].encode()).decode(),
}
"""Ways in which a server may write the key between the quotes of JSON."""


def folded(text):
    """Return a text in which a character is the same in each case, URL-coded, escaped, and in both kinds of base64."""
    text = re.sub(r"\\+u00([0-9a-fA-F]{2})", lambda found: chr(int(found[1], 16)), unquote(unquote(text)))
    return text.replace("\\", "").lower().replace("-", "+").replace("_", "/")


def assert_kept(text):
    """Fail where a run of the secret is in a text, however it is written."""
    # Base64 depends on where the text begins within three bytes.
    coded = [b64encode(SECRET.encode()[skipped:]).decode().rstrip("=")[:-1] for skipped in range(3)]
    runs = {folded(one[at : at + RUN]) for one in (SECRET, *coded) for at in range(len(one) - RUN + 1)}
    plain = folded(text)
    assert [run for run in runs if run in plain] == []


def echoes(make):
    """Return the behaviour that answers with what it makes of the key, as the client sent it."""

    def behave(server, sock):
        # A client whose time is over may close its connection before it sends anything.
        if key := re.search(rb"x-api-key: (.*)\r\n", server.read(sock)):
            sock.sendall(make(key[1].decode()))

    return behave


TEXTS = (
    "name", "registryIdentifier", "version", "packageType", "artifactType", "registryType", "registryUUID",
    "scanStatus", "firewallMode", "quarantineReason", "purl", "uuid",
)  # fmt: skip
"""Fields of a row that may become labels."""


def named(key):
    """Return a listing of artifacts that have the key in each text, each in another way."""
    rows = [
        make_row(isQuarantined=True, metadata={"tags": [f"<{number}>"]}, **dict.fromkeys(TEXTS, f"<{number}>"))
        for number in range(len(IN_JSON))
    ]
    body = body_of(rows, itemCount=len(rows), pageSize=100).decode()
    for number, write in enumerate(IN_JSON.values()):
        body = body.replace(f"<{number}>", write(key))
    return body.encode()


def said(key, **envelope):
    """Return an envelope with a message that has the key in each way."""
    message = " ".join(write(key) for write in IN_JSON.values())
    return json.dumps({**envelope, "message": "SAID"}).replace("SAID", f"bad key {message}").encode()


ECHOES = [
    Case("echo", name, echoes(make))
    for name, make in {
        **{
            f"message of a 401 {way}": lambda key, write=write: answer(
                f'{{"message": "no {write(key)}"}}'.encode(), status="401 No"
            )
            for way, write in IN_JSON.items()
        },
        "message of a 500 across the cut": lambda key: answer({"message": "m" * 240 + key}, status="500 No"),
        "message of a failure": lambda key: answer(said(key, status="FAILURE")),
        "message across the cut": lambda key: answer({"status": "ERROR", "message": "m" * 230 + key}),
        "status": lambda key: answer({"status": key}),
        "names": lambda key: answer(named(key)),
        "content type": lambda key: answer(GOOD, content_type=key),
        "content encoding": lambda key: answer(GOOD, f"Content-Encoding: {key}"),
        "retry after": lambda key: answer(b"", f"Retry-After: {key}", status="429 No"),
        "redirect": lambda key: answer(b"", f"Location: http://127.0.0.1:1/{key}", status="302 Go"),
        "reason phrase": lambda key: answer(b"", status=f"403 {key}"),
        "no JSON": lambda key: answer(key.encode()),
        "no HTTP": lambda key: f"{key} is bad\r\n\r\n".encode(),
        "status line": lambda key: f"HTTP/1.1 {key} bad\r\n\r\n".encode(),
        "chunk": lambda key: HEAD + f"Transfer-Encoding: chunked\r\n\r\n{key}\r\n".encode(),
        "header": lambda key: f"HTTP/1.1 500 No\r\n{key}\r\n\r\n".encode(),
    }.items()
]


ONE_A_ROW = list({case.row: case for case in FAILURES}.values())


@pytest.mark.parametrize("case", [*ONE_A_ROW, *ECHOES], ids=str)
def test_the_key_is_in_no_log_no_page_and_no_error(case, front, tmp_path, authority):
    clock, settings = FakeClock(), dict(case.settings)
    if case.tls:
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        settings["ca_file"] = str(tmp_path / "ca.pem")
    with RawServer(says(GOOD), good_tls(authority) if case.tls else None) as server, RawServer(sends()) as elsewhere:
        server.elsewhere = elsewhere.address
        url = f"{'https' if case.tls else 'http'}://{server.address}"
        with whole.running(front, clock, tmp_path, url, **settings) as exporter:
            exporter.scrape()
            server.behave, server.context = case.behave, case.tls(authority) if case.tls else None
            clock.tick(301)
            exporter.scrape()
            error = error_of(exporter.app)
            clock.tick(301)
            pages = [exporter.get(path) for path in PAGES]
    assert elsewhere.connections == 0
    assert server.requests
    assert "debug" in exporter.log
    for text in (*pages, exporter.log, error):
        assert_kept(text)


def test_artifacts_that_are_named_like_the_key_are_counted_and_shown_without_it(front, tmp_path):
    """Labels that became equal are one series, so that the page still parses."""
    behave = echoes(lambda key: answer(named(key)))
    with (
        RawServer(behave) as server,
        whole.running(front, FakeClock(), tmp_path, f"http://{server.address}") as exporter,
    ):
        found = exporter.scrape()
    different = len({json.loads(f'"{write(CANARY)}"') for write in IN_JSON.values()})
    assert found['har_snapshot_artifacts{source="fetched",space="acct"}'] == different
    quarantined = found.of("acct", "har_artifacts_quarantined")
    labels = {"firewall_mode", "package_type", "registry", "scan_status"}
    named_so = "".join(f'{label}="(key)",' for label in sorted(labels))
    assert quarantined["har_artifacts_quarantined{" + named_so + 'space="acct"}'] == different


def error_of(app):
    """Return all that an error of the client for `acct` says, what caused it included."""
    space = app.settings.served[0]
    upstream = app.clients.of(space, app.settings)
    client = upstream.client
    try:
        client.page(listing_of(space), 0, 100, client._clock.monotonic() + 0.3)
    except RefreshError as error:
        lines = traceback.format_exception(error)
        return "".join([*lines, repr(error), repr(error.__cause__), repr(vars(error)), repr(client), repr(upstream)])
    return ""


def test_the_test_would_notice():
    for write in IN_JSON.values():
        with pytest.raises(AssertionError):
            assert_kept(f"x {write(CANARY)}")


@pytest.mark.parametrize("scheme", ["x-api-key", "bearer"])
def test_nothing_shows_the_key_when_it_is_printed(scheme):
    settings = settings_of(api_key=CANARY, spaces="acct", auth_scheme=scheme)
    upstreams = whole.App(settings, FakeClock()).clients
    upstream = upstreams.of(settings.served[0], settings)
    objects = (settings, *settings.served, upstreams, upstream, upstream.client, upstream.key)
    assert_kept("".join(form(each) for each in objects for form in (repr, str)))
    assert_kept(settings.model_dump_json())


def test_the_real_process_shows_its_key_to_nobody():
    with (
        Upstream(make_rows(3), key=CANARY) as upstream,
        served("--log-level", "debug", base_url=upstream.url, api_key=CANARY, spaces="acct") as (process, url),
    ):
        texts = [whole.requests.get(url + path, timeout=10).text for path in PAGES]
        upstream.fault = lambda _: reply(401, {"message": f"bad key {CANARY}"})
        command_line = Path(f"/proc/{process.pid}/cmdline")
        texts.append(command_line.read_text() if command_line.exists() else "")
        process.terminate()
        texts.append(process.stderr.read())
    assert "har_up" in texts[1]
    assert_kept("".join(texts))


def test_check_and_dump_show_the_key_to_nobody():
    with Upstream(make_rows(3)) as upstream:
        upstream.fault = lambda _: reply(401, {"message": f"bad key {CANARY}"})
        for command in (["check"], ["dump"]):
            done = run(*command, "--log-level", "debug", base_url=upstream.url, api_key=CANARY, spaces="acct")
            assert done.returncode == 1
            assert_kept(done.stdout + done.stderr)
