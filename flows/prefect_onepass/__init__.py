"""Prefect flows over `onepass`: thin, and the only place that imports Prefect."""
