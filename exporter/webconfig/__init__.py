"""Web config file of Prometheus exporters: TLS, basic authentication, headers and rate limit."""
