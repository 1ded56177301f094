"""Commands: from settings to exit code.

What only some commands need, and takes long to import, is imported when they run, so that `serve` starts fast.
"""

import gc
import getpass
import json
import socket
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

import bcrypt
import structlog

from exporter import __version__, log
from exporter.check.report import as_document
from exporter.cli.output import check_output, write_output
from exporter.clock import SystemClock
from exporter.config.readers import ListenAddress
from exporter.config.settings import Settings
from exporter.config.sources import NoKeyYetError, load
from exporter.demo.catalogue import SPACES
from exporter.demo.server import KEY, PREFIX, Registry
from exporter.engine.app import App
from exporter.engine.reload import Reloader, Source
from exporter.labels import REGISTRIES
from exporter.scopes import DESCENDANTS
from exporter.serving import descriptors, listener, server
from exporter.serving.endpoints import Endpoints
from exporter.texts import SettingsError
from exporter.webconfig.content import watch
from exporter.webconfig.file import WebConfigFile
from exporter.webconfig.guard import Guard
from exporter.webconfig.logins import LONGEST_PASSWORD

if TYPE_CHECKING:
    from exporter.webconfig.tls import ReloadingContext

DONE = 0
SPACE_FAILED = 1
_STDERR = 2
_KEY_SECONDS = 30  # that sidecars and agents have to write the key

_log = structlog.get_logger()


def serve(flags: Mapping[str, str]) -> int:
    """Serve metrics until the process is stopped.

    Raises:
        SettingsError: the settings are invalid, or the address cannot be used.
    """
    source, clock = Source(flags), SystemClock()
    settings = _with_key(source.load, clock)
    return _serve(settings, source, clock, _front(settings))


def _with_key(load: Callable[[], Settings], clock: SystemClock) -> Settings:
    """Return the settings; if only a key file is missing, wait for whatever writes it next to this process.

    Raises:
        SettingsError: the settings are invalid, or the key file is still missing.
    """
    try:
        return load()
    except NoKeyYetError as error:
        faults = error.faults
    from exporter.cli.messages import say  # noqa: PLC0415 - see the docstring of the module

    for fault in faults:
        say(f"{fault}; waiting {_KEY_SECONDS} seconds for it")
    for _ in range(_KEY_SECONDS):
        clock.wait(1.0)
        with suppress(NoKeyYetError):
            return load()
    return load()


class _Front(NamedTuple):
    """Where clients connect to.

    Attributes:
        sock: the listening socket.
        web_config: the web config file, if any.
        tls: the TLS context that it describes, if any.
        url: a URL of the exporter for this host.
    """

    sock: socket.socket
    web_config: WebConfigFile | None
    tls: "ReloadingContext | None"
    url: str


def _front(settings: Settings) -> _Front:
    web_config, tls = _web_config(settings)
    sock = _listen(settings.listen_address)
    _, port, *_ = sock.getsockname()
    return _Front(sock, web_config, tls, _url(settings, port, tls=tls is not None))


def _url(settings: Settings, port: int, *, tls: bool = False) -> str:
    host = settings.listen_address.host or "localhost"
    return f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


def _serve(
    settings: Settings, source: Source, clock: SystemClock, front: _Front, greet: Callable[[str], None] = lambda _: None
) -> int:
    lines = log.DroppingStream(_STDERR)
    log.configure(settings.log_level, settings.log_format, lines)
    sock, web_config, tls, url = front
    app = App(settings, clock, log_lines_dropped=lambda: lines.dropped)
    reloader = Reloader(app, source, clock)
    endpoints = Endpoints(
        app.refresher,
        app.exposition,
        app.probes,
        clock=clock,
        sources=app.sources,
        scrape_timeout_offset=lambda: app.settings.scrape_timeout_offset,
        reload=lambda: reloader.ask() if app.settings.web_enable_lifecycle else None,
    )

    def stop() -> None:
        endpoints.stop()
        clock.stop()

    guarded = Guard(endpoints, web_config, clock) if web_config else endpoints
    # The other half is for connections to Harness, for files and for the interpreter.
    connections = min(server.CONNECTIONS, descriptors.raise_limit() // 2)
    serving = server.Server(guarded, sock, on_shutdown=stop, tls=tls, connections=connections)
    serving.handle_signals(on_hangup=reloader.ask)
    host, port, *_ = sock.getsockname()
    greet(url)
    of_shard = {"spaces": len(settings.served), "shard": settings.shard, "shards": settings.shards}
    _log.info("listening", version=__version__, host=host, port=port, tls=tls is not None, **of_shard)
    if web_config:
        watch([web_config.content, *([tls.content] if tls else [])], clock)
    # Objects that live as long as the process need not be scanned while a walk makes garbage: a tenth of its time.
    gc.freeze()
    app.start()
    reloader.watch()
    serving.run()
    lines.end()
    return DONE


def demo(flags: Mapping[str, str]) -> int:
    """Serve metrics of the demo registry until the process is stopped.

    Raises:
        SettingsError: the settings are invalid.
    """
    with Registry() as registry:
        settings = load(flags, pinned=_pointing_to(registry))
        front = _front(settings)
        source = Source(flags, _pointing_to(registry) | _suiting(front.url, settings))
        return _serve(source.load(), source, SystemClock(), front, _greet)


def _greet(url: str) -> None:
    print(f"""\
Demo: made-up artifacts of an account, from a registry in this process. Press Ctrl-C to stop.

  status page  {url}/
  metrics      {url}/metrics
""", file=sys.stderr)  # fmt: skip


@contextmanager
def demo_settings(flags: Mapping[str, str]) -> Iterator[Settings]:
    """Run a demo registry, and yield settings that point to it.

    Raises:
        SettingsError: the settings are invalid.
    """
    with Registry() as registry:
        settings = load(flags, pinned=_pointing_to(registry))
        url = _url(settings, settings.listen_address.port)
        yield load(flags, pinned=_pointing_to(registry) | _suiting(url, settings))


def _pointing_to(registry: Registry) -> dict[str, str]:
    return {"base_url": registry.url, "api_prefix": PREFIX, "api_key": KEY, "spaces": ",".join(SPACES)}


def _suiting(url: str, settings: Settings) -> dict[str, str]:
    """Return values of settings that suit the demo, unless others were given.

    Links lead to the demo's own page, as it has no Harness UI, and its registries change every few minutes. Where
    registries are read, its spaces are found.
    """
    spaces = {"spaces": SPACES[0] + DESCENDANTS} if REGISTRIES in settings.sources else {}
    suiting = {
        "link_template": f"{url}/#/account/{{account}}/orgs/{{org}}/projects/{{project}}/registries/{{registry}}",
        "registries_ttl": "1m",
    }
    return {name: value for name, value in suiting.items() if name not in settings.model_fields_set} | spaces


def check(settings: Settings, *, as_json: bool) -> int:
    """Ask every space for one page, print a report, and return the exit code.

    Raises:
        SettingsError: the web config file is invalid, or a key file can no longer be used.
    """
    from exporter.check.ask import check_spaces  # noqa: PLC0415
    from exporter.cli import console  # noqa: PLC0415 - see the docstring of the module

    # The report contains what the log would warn of.
    log.configure("debug" if settings.log_level == "debug" else "error", settings.log_format)
    _web_config(settings)
    with console.asking() as (on_start, on_answer):
        report = check_spaces(settings, SystemClock(), on_answer, on_start)
    if as_json:
        print(json.dumps(as_document(report), indent=2))
    else:
        console.print_report(report)
    return DONE if not report.total.failed else SPACE_FAILED


def dump(settings: Settings, output: str | None) -> int:
    """Refresh every space once, and write the metrics; a file is replaced atomically at the end.

    Raises:
        SettingsError: a key file can no longer be used, or the output cannot be written.
    """
    from exporter.cli import console  # noqa: PLC0415 - see the docstring of the module
    from exporter.cli.dump import dump_spaces  # noqa: PLC0415

    # Checked before the refresh, which may take an hour.
    check_output(output)
    with console.RefreshBars() as bars:
        # Within the bars, so that log lines are printed above them.
        log.configure(_quieter(settings.log_level), settings.log_format)
        dumped = dump_spaces(settings, SystemClock(), on_page=bars.on_page, on_end=bars.on_end, on_start=bars.on_start)
    write_output(output, dumped.exposition)
    console.print_dump_summary(dumped)
    return DONE if dumped.whole else SPACE_FAILED


def findings(settings: Settings, output: str | None, wanted: Mapping[str, Collection[str]]) -> int:
    """Refresh every space once, and print everything that someone must act on.

    Args:
        settings: valid settings.
        output: `csv` or `json`; None for a table.
        wanted: what to print, as the attributes of `Filters`.

    Raises:
        SettingsError: a key file can no longer be used, or a space that is wanted is none of those that were read.
    """
    from exporter.cli import console  # noqa: PLC0415 - see the docstring of the module
    from exporter.cli.findings import Filters, as_csv, as_json, lost, rows_of, unknown_spaces  # noqa: PLC0415
    from exporter.engine.app import App  # noqa: PLC0415
    from exporter.engine.once import read_once  # noqa: PLC0415

    unlimited, filters = settings.model_copy(update={"findings_limit": sys.maxsize}), Filters(**wanted)
    with console.RefreshBars() as bars:

        def on_start(app: App) -> None:
            unknown = unknown_spaces(filters.space, [status.space for status in app.refresher.statuses()])
            # While spaces were not found, nobody knows.
            if unknown and not app.sources.undiscovered():
                raise SettingsError(unknown)
            bars.on_start(app)

        log.configure(_quieter(settings.log_level), settings.log_format)
        app = read_once(
            unlimited,
            SystemClock(),
            on_page=bars.on_page,
            on_end=bars.on_end,
            on_start=on_start,
            firewall_modes=False,
        )
    rows, statuses, sources = rows_of(app.views(), filters), app.refresher.statuses(), app.sources.views()
    if output == "csv":
        print(as_csv(rows), end="")
    elif output == "json":
        print(as_json(rows, statuses, sources))
    else:
        console.print_findings(rows)
    sys.stdout.flush()
    console.print_failures(statuses, sources)
    whole = all(status.up for status in statuses) and not (lost(sources) or app.sources.undiscovered())
    return DONE if whole else SPACE_FAILED


def hash_password() -> int:
    """Read a password, and print its bcrypt hash for the web config file.

    Raises:
        SettingsError: it is empty, too long for bcrypt, or differs the second time.
    """
    if sys.stdin.isatty():
        password = getpass.getpass().encode()
        if getpass.getpass("Repeat password: ").encode() != password:
            raise SettingsError(["password: the two entries differ"])
    else:
        # Bytes, as the encoding of this process need not be that of the password.
        password = sys.stdin.buffer.readline().removesuffix(b"\n").removesuffix(b"\r")
    if not 0 < len(password) <= LONGEST_PASSWORD:
        raise SettingsError([f"password: accepted are 1 to {LONGEST_PASSWORD} bytes, the limit of bcrypt"])
    print(bcrypt.hashpw(password, bcrypt.gensalt()).decode())
    return DONE


def _web_config(settings: Settings) -> tuple[WebConfigFile | None, "ReloadingContext | None"]:
    """Return the web config file and the TLS context that it describes, if any."""
    if settings.web_config_file is None:
        return None, None
    from exporter.webconfig.tls import ReloadingContext  # noqa: PLC0415 - see the docstring of the module

    file = WebConfigFile(settings.web_config_file)
    return file, ReloadingContext(file) if file.current().tls else None


def _listen(address: ListenAddress) -> socket.socket:
    try:
        return listener.listen(*address)
    except OSError as error:
        raise SettingsError([f"listen_address: {error.strerror}; accepted is a free address of this host"]) from None


def _quieter(level: str) -> str:
    """Return a log level without success messages: the output of a command shows success."""
    return "warning" if level == "info" else level
