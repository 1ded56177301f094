"""Messages for people: one line each in a pipe; on a terminal in colour, and broken between words."""

import sys
import textwrap
from typing import TextIO

from rich.console import Console
from rich.text import Text

WIDE = 10_000
"""Width of what is not a terminal, in characters."""


def say(sentence: str, style: str = "") -> None:
    """Print a message on standard error."""
    print_text(console_on(sys.stderr), f"har-exporter: {sentence}", style)


def print_text(console: Console, text: str, style: str = "") -> None:
    """Print a text of one line or several; a word that is longer than a line of the terminal stays whole."""
    if console.is_terminal:
        text = "\n".join(_wrapped(line, console.width) for line in text.splitlines())
    console.print(Text(text), style=style, soft_wrap=True)


def _wrapped(line: str, width: int) -> str:
    return textwrap.fill(line, width, break_long_words=False, break_on_hyphens=False)


def console_on(stream: TextIO) -> Console:
    """Return a console; only a terminal has a width."""
    terminal = stream.isatty()
    return Console(file=stream, force_terminal=terminal, width=None if terminal else WIDE, highlight=False)
