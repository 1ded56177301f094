"""Generators of documents, pictures and parts of the chart, and the mutation tests of the alerting rules."""
