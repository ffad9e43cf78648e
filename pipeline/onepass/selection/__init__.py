"""Which rows a job takes: its condition, parsed once, evaluated on rows, and bounded by footers."""
