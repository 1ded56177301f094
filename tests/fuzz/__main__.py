"""Fuzz all targets with `make fuzz`, or some for a shorter time with `make fuzz TARGETS="page heads" SECONDS=60`.

Each run starts with the inputs in `tests/fuzz/corpus` and those that earlier runs left in `dist/fuzz`. An input that
fails is written to `dist/fuzz` too, and the exit code is 1. To add to the corpus the inputs that reach other code:

    python -m tests.fuzz.engine page tests/fuzz/corpus/page dist/fuzz/page -merge=1 -use_counters=0
"""

import os
import subprocess
import sys
from tempfile import TemporaryDirectory

from rich.console import Console

from tests.fuzz.targets import CORPUS, TARGETS
from tests.support.places import ROOT

_FOUND = ROOT / "dist" / "fuzz"


def main(seconds: str, *wanted: str) -> int:
    """Fuzz the requested targets, or all of them, one after the other, and return the exit code."""
    console = Console(stderr=True)
    if unknown := set(wanted) - set(TARGETS):
        console.print(f"fuzz: unknown targets {', '.join(sorted(unknown))}; the targets are {', '.join(TARGETS)}")
        return 2
    failed = [name for name in wanted or TARGETS if not _passes(name, seconds)]
    console.print(f"fuzz: {', '.join(failed)} failed" if failed else "fuzz: no failure")
    return int(bool(failed))


def _passes(name: str, seconds: str) -> bool:
    """Fuzz one target, in a process that the fuzzer ends."""
    found = _FOUND / name
    found.mkdir(parents=True, exist_ok=True)
    options = [f"-max_total_time={seconds}", "-timeout=60", f"-artifact_prefix={_FOUND}/{name}-"]
    command = [sys.executable, "-m", "tests.fuzz.engine", name, str(found), str(CORPUS / name), *options]
    # The process leaves its temporary files.
    with TemporaryDirectory() as folder:
        return not subprocess.call(command, cwd=ROOT, env={**os.environ, "TMPDIR": folder})


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
