"""Running exporter: wiring, one generation of settings, clients, probes and reload."""
