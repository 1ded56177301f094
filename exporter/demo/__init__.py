"""Demo registry: an HTTP server on loopback with made-up artifacts."""
