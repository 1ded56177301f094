"""Benchmarks of the exporter next to reference programs; `make bench` runs them and prints one table."""
