"""Typed source of the Grafana dashboards; `make dashboards` writes the JSON files in this folder."""
