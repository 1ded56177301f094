"""HTTP endpoints and the server below them."""
