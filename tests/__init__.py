"""Tests, by the package of the exporter that they test."""
