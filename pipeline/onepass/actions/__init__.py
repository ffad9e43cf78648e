"""The actions of users on a model, one module each; commands and flows call these."""
