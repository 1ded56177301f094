"""Harness API: one exchange, its page, limits and errors."""
