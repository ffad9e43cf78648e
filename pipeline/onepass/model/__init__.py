"""A model directory, and the model in it: settings, state, predictions."""
