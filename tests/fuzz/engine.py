"""Fuzz one target with atheris: `python -m tests.fuzz.engine TARGET ARGUMENT...`; the arguments are libFuzzer's."""

import random
import sys
from importlib import import_module

import atheris

from tests.fuzz.mutation import mutate

_MOST = 4096  # bytes of an input
_PLAIN = 0.3  # share of changes that know nothing of the structure


def main(name: str, *arguments: str) -> None:
    """Fuzz a target until the first failure, or until the arguments end it; ends the process."""
    # h11 parses the requests: the fuzzer learns which bytes matter to it.
    with atheris.instrument_imports(include=["exporter", "tests.fuzz", "h11", "uvicorn.protocols"]):
        target = import_module(f"tests.fuzz.{name}")

    def change(data: bytes, most: int, seed: int) -> bytes:
        rng = random.Random(seed)
        plain = rng.random() < _PLAIN
        changed: bytes = atheris.Mutate(data, most) if plain else mutate(data, target.TOKENS, most, rng)
        return changed

    # The first one is the command that the fuzzer runs to merge inputs.
    command = f"{sys.executable} -m tests.fuzz.engine {name}"
    atheris.Setup([command, f"-max_len={_MOST}", *arguments], target.check, custom_mutator=change)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
