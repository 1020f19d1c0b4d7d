"""The terminal: one file per command, one place that prints."""
