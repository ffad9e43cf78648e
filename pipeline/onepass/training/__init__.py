"""Train a model: create it, plan, read and learn, commit; restore a state that has been lost."""
