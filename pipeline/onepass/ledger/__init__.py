"""The log of a model's versions and their states, from which every run resumes."""
