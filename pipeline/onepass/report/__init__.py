"""One self-contained HTML page about a model, for people."""
