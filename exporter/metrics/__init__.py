"""Table of metric families and the pages rendered from it."""
