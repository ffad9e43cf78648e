"""Train a model: plan, read, learn, commit; and restore what has been lost."""
