"""Check the tags of a model: their chain, and that each names the version that it was given."""

from __future__ import annotations

from collections.abc import Iterator

from onepass.actions.verify_report import Finding
from onepass.errors import ForeignModel, first_line
from onepass.ledger.ledger import Ledger


def tag_faults(ledger: Ledger) -> Iterator[Finding]:
    """Iterate over the faults of the tags; afterwards they are read as far as they are sound."""
    try:
        ledger.tags.catch_up()
        # If the log has a fault, tags may name versions behind it.
        for name in ledger.tags.named() if ledger.fault is None else ():
            ledger.tags.target(name)
    except ForeignModel as error:
        text = (
            f"{first_line(error)}; put the entries back from a copy, or move the folder out of the "
            "model directory, which then has no tags"
        )
        yield Finding(level="damage", part="tags", where="tags", text=text)
