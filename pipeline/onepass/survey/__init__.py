"""Look at a lake before a model is made: footers, a bounded sample, how each column is used."""
