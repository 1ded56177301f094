"""What the exporter costs beside what it could cost: `make bench` runs all of it and prints one table."""
