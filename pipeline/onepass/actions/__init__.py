"""What users do with a model, one module an action; commands and flows call these."""
