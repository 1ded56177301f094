"""Command line: commands, and what people see on a terminal."""
