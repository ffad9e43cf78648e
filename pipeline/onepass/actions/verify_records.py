"""Check the tags of a model, and its records of evaluations."""

from __future__ import annotations

from collections.abc import Iterator

from onepass.actions.verify_report import Finding
from onepass.errors import ForeignModel, first_line
from onepass.ledger.ledger import Ledger
from onepass.ledger.store import Store
from onepass.model.evaluations import read_records


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


def record_faults(store: Store) -> Iterator[Finding]:
    """Iterate over the records of evaluations that cannot be read; nothing depends on them."""
    for key, fault in read_records(store)[1].items():
        text = f"{fault.removeprefix(key).lstrip(': ')}; it is left out, and may be removed"
        yield Finding(level="note", part="evaluations", where=key, text=text)
