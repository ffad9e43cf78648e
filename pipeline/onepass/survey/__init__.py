"""Survey a lake before a model is created: footers, a bounded sample, the use of each column."""
