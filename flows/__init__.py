"""Prefect flows over `pipeline`: thin, and the only place that imports Prefect."""
