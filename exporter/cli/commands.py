"""What each command does, from settings to exit code.

What only some need is imported where they do, so that `serve` answers at once.
"""

import gc
import getpass
import json
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import bcrypt
import structlog

from exporter import __version__, log
from exporter.check.report import as_document
from exporter.cli.output import check_replaceable, replace_file, write_to_stdout
from exporter.clock import SystemClock
from exporter.config.readers import ListenAddress
from exporter.config.settings import Settings, SettingsError, load
from exporter.demo.server import KEY, PREFIX, SPACES, Registry
from exporter.engine.app import App
from exporter.engine.reload import Reloader, Source
from exporter.serving import descriptors, listener, server
from exporter.serving import endpoints as web
from exporter.webconfig.file import WebConfigFile
from exporter.webconfig.guard import Guard
from exporter.webconfig.logins import LONGEST_PASSWORD

if TYPE_CHECKING:
    from exporter.webconfig.tls import ReloadingContext

DONE = 0
SPACE_FAILED = 1

_log = structlog.get_logger()


def serve(flags: Mapping[str, str]) -> int:
    """Serve metrics until the process is asked to end.

    Raises:
        SettingsError: the settings cannot be used, or the address cannot be listened on.
    """
    source = Source(flags)
    return _serve(source.load(), source)


def _serve(settings: Settings, source: Source, greet: Callable[[str], None] = lambda _: None) -> int:
    log.configure(settings.log_level, settings.log_format)
    clock = SystemClock()
    web_config, tls = _web_config(settings)
    app = App(settings, clock)
    reloader = Reloader(app, source, clock)
    endpoints = web.Endpoints(
        app.refresher,
        app.exposition,
        app.probes,
        clock=clock,
        scrape_timeout_offset=lambda: app.settings.scrape_timeout_offset,
        version=__version__,
        reload=lambda: reloader.ask() if app.settings.web_enable_lifecycle else None,
    )
    sock = _listen(settings.listen_address)

    def stop() -> None:
        endpoints.stop()
        clock.stop()

    guarded = Guard(endpoints, web_config, clock) if web_config else endpoints
    # The other half is for the servers that are asked, for files, and for what the interpreter needs.
    connections = min(server.CONNECTIONS, descriptors.raise_limit() // 2)
    serving = server.Server(guarded, sock, on_shutdown=stop, tls=tls, connections=connections)
    serving.heed_signals(on_hangup=reloader.ask)
    host, port, *_ = sock.getsockname()
    greet(f"{'https' if tls else 'http'}://{settings.listen_address.host or 'localhost'}:{port}")
    of_shard = {"spaces": len(settings.served), "shard": settings.shard, "shards": settings.shards}
    _log.info("listening", version=__version__, host=host, port=port, tls=tls is not None, **of_shard)
    # What stays for good need not be looked through while a walk makes garbage: a tenth of its time.
    gc.freeze()
    app.refresher.start()
    reloader.watch()
    serving.run()
    return DONE


def demo(flags: Mapping[str, str]) -> int:
    """Serve metrics of an embedded registry until the process is asked to end.

    Raises:
        SettingsError: the settings cannot be used.
    """
    with Registry() as registry:
        source = Source(flags, _leading_to(registry))
        return _serve(source.load(), source, _greet)


def _greet(url: str) -> None:
    print(f"""\
Demo: made-up artifacts in {len(SPACES)} spaces, from a registry inside this process. Stop it with Ctrl-C.

  for people      {url}/
  for Prometheus  {url}/metrics
""", file=sys.stderr)  # fmt: skip


@contextmanager
def demo_settings(flags: Mapping[str, str]) -> Iterator[Settings]:
    """Run an embedded registry, and yield settings that lead to it.

    Raises:
        SettingsError: the settings cannot be used.
    """
    with Registry() as registry:
        yield load(flags, pinned=_leading_to(registry))


def _leading_to(registry: Registry) -> Mapping[str, str]:
    return {"base_url": registry.url, "api_prefix": PREFIX, "api_key": KEY, "spaces": ",".join(SPACES)}


def check(settings: Settings, *, as_json: bool) -> int:
    """Ask every space for one page, say what that means, and return whether all were good.

    Raises:
        SettingsError: the web config file cannot be used, or a key file cannot be used any more.
    """
    from exporter.check.ask import check_spaces  # noqa: PLC0415
    from exporter.cli import console  # noqa: PLC0415 - see above

    # What a warning would say stands in the report.
    log.configure("debug" if settings.log_level == "debug" else "error", settings.log_format)
    _web_config(settings)
    with console.asking(len(settings.served)) as on_answer:
        report = check_spaces(settings, SystemClock(), on_answer)
    if as_json:
        print(json.dumps(as_document(report), indent=2))
    else:
        console.print_report(report)
    return DONE if not report.total.failed else SPACE_FAILED


def dump(settings: Settings, output: Path | None) -> int:
    """Walk through every space once, and write the metrics; a file is replaced at once, when all is there.

    Raises:
        SettingsError: a key file cannot be used any more, or the output cannot be written.
    """
    from exporter.cli import console  # noqa: PLC0415 - see above
    from exporter.cli.dump import dump_spaces  # noqa: PLC0415

    if output is not None:
        # Known before the walk, which may take an hour.
        check_replaceable(output)
    with console.WalkBars(len(settings.served)) as bars:
        # Within the bars, so that a line of the log goes above them.
        log.configure(_quieter(settings.log_level), settings.log_format)
        dumped = dump_spaces(settings, SystemClock(), on_page=bars.on_page, on_end=bars.on_end)
    if output is None:
        write_to_stdout(dumped.exposition)
    else:
        replace_file(output, dumped.exposition)
    console.tell_of_dump(dumped)
    return DONE if dumped.whole else SPACE_FAILED


def hash_password() -> int:
    """Ask for a password, and print its bcrypt hash for the web config file.

    Raises:
        SettingsError: it is empty, longer than bcrypt reads, or not the same the second time.
    """
    if sys.stdin.isatty():
        password = getpass.getpass()
        if getpass.getpass("Again: ") != password:
            raise SettingsError(["password: the second one differs; accepted is the same twice"])
    else:
        password = sys.stdin.readline().removesuffix("\n").removesuffix("\r")
    if not 0 < len(password.encode()) <= LONGEST_PASSWORD:
        raise SettingsError([f"password: accepted are 1 to {LONGEST_PASSWORD} bytes, as bcrypt reads no more"])
    print(bcrypt.hashpw(password.encode(), bcrypt.gensalt()).decode())
    return DONE


def _web_config(settings: Settings) -> tuple[WebConfigFile | None, "ReloadingContext | None"]:
    """Read the web config file: what guards the endpoints, and what to speak TLS with."""
    if settings.web_config_file is None:
        return None, None
    from exporter.webconfig.tls import ReloadingContext  # noqa: PLC0415 - see above

    file = WebConfigFile(settings.web_config_file)
    return file, ReloadingContext(file) if file.current().tls else None


def _listen(address: ListenAddress) -> socket.socket:
    try:
        return listener.listen(*address)
    except OSError as error:
        raise SettingsError([f"listen_address: {error.strerror}; accepted is an address that is free here"]) from None


def _quieter(level: str) -> str:
    """Leave out what only says that all goes well: the output of a command says that itself."""
    return "warning" if level == "info" else level
