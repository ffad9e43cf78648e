"""Learners, losses and metrics on blocks of numbers; they know neither files nor Arrow."""
