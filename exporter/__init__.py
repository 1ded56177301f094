"""Prometheus exporter for Harness Artifact Registry."""

__version__ = "0.1.0"
