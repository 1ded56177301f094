"""Grafana dashboards as typed code; `make dashboards` writes the JSON files beside it."""
