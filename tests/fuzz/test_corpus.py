"""What fuzzing found to reach all code is checked on every change; `make fuzz` looks for more."""

from importlib import import_module

import pytest

from tests.fuzz.targets import CORPUS, TARGETS

INPUTS = sorted(path.relative_to(CORPUS) for path in CORPUS.glob("*/*"))


@pytest.mark.parametrize("path", INPUTS, ids=str)
def test_an_input_of_the_corpus_breaks_no_property(path):
    import_module(f"tests.fuzz.{path.parts[0]}").check((CORPUS / path).read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_the_corpus_of_a_target_is_small(name):
    """Tens of files, so that all are replayed within seconds; minimised, so that each can be read."""
    sizes = [(CORPUS / path).stat().st_size for path in INPUTS if path.parts[0] == name]
    assert 10 <= len(sizes) < 100
    assert sum(sizes) < 32_768
