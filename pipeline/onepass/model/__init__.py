"""A model directory and the model in it."""
