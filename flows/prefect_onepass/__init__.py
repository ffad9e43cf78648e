"""Prefect flows over `onepass`; only this package imports Prefect."""
