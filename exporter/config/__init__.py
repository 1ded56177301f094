"""Settings: declaration, sources and readers."""
