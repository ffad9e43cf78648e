"""Prefect flows over `pipeline`: thin, and the only place that imports Prefect."""

from pipeline.allocator import keep_pages

# Before pyarrow is loaded by anything that a flow imports.
keep_pages()
