"""Artifacts of a space: read page by page, added up, and kept as a snapshot."""
