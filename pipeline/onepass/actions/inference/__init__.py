"""Estimates that follow from the weights of a model and their covariance."""
