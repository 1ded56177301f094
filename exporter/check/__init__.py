"""One question to each space, and an estimate of what refreshing it costs."""
