"""Messages for people, on terminals of any width."""

import io

import pytest
from rich.console import Console

from exporter.cli.messages import print_text


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("width", range(1, 60, 7))
def test_a_word_stays_whole_with_its_dashes_and_slashes_and_a_pipe_gets_one_line(width, terminal):
    """A longer word than the terminal is wide is broken by the terminal alone; the lines of a text stay lines."""
    text = "set --api-key-file of\nhar-exporter-settings to /etc/har-exporter/a-very-long-path/key"
    stream = io.StringIO()
    print_text(Console(file=stream, force_terminal=terminal, width=width, color_system=None), text)
    lines = stream.getvalue().splitlines()
    assert " ".join(lines).split() == text.split()
    assert all(len(line) <= width or " " not in line for line in lines) or not terminal
    assert terminal or lines == text.splitlines()
