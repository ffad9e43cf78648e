"""Advise what to do with a model directory, by the findings of a verification."""

from __future__ import annotations

from collections.abc import Collection

from onepass.ledger.entries import RefineEntry
from onepass.ledger.ledger import Ledger


def advice(path: str, ledger: Ledger | None, usable: int | None, damaged: Collection[str]) -> str:
    """Return a sentence that tells the user what can be used and what to do next.

    Parameters
    ----------
    ledger
        The ledger; None if it cannot be read at all.
    usable
        Newest version that counts and has a sound state; None if there is none.
    damaged
        Parts of the directory that are damaged: model.json, log, lock, state.
    """
    if "model.json" in damaged:
        return "nothing here can be used without model.json; put it back from a copy"
    if ledger is None:
        return "nothing here can be used without plain folders; put them back, and verify again"
    newest = ledger.history.learnt()[-1].version if ledger.history.learnt() else None
    if ledger.fault is not None:
        state = f"the sound state of version {usable}" if usable else "no state"
        left = f"versions 1 to {ledger.version}, with {state}" if ledger.version else "no version"
        then = ": training starts anew" if newest is None else ": training retrains them"
        return (
            "put the entries back from a copy; without one, moving what is in log/ and state/ of "
            f"version {ledger.version + 1} and later out of the model directory leaves {left}"
            + ("" if usable else then)
        )
    if ledger.strays:
        return "move the files that are no entries out of log/, and verify again"
    if newest is None:
        return "nothing has been learnt as of the newest version; train it"
    if usable == newest:
        rest = "; put what is damaged back from a copy" if set(damaged) - {"lock"} else ""
        return f"version {newest} can be used{rest}"
    lost = [entry for entry in ledger.history.learnt() if entry.version > (usable or 0)]
    if refined := [entry.version for entry in lost if isinstance(entry, RefineEntry)]:
        can = f"version {usable}" if usable else "no version"
        return (
            f"{can} can be used now; version {refined[0]} is a refinement, which training does not "
            "repeat: put its state back from a copy, or go back for good: "
            f"onepass rewind {path} --to {usable or refined[0] - 1}"
        )
    if usable is None:
        return "no version can be used now; training retrains all of them from the lake"
    return (
        f"version {usable} can be used; training retrains what came after, or go back for good: "
        f"onepass rewind {path} --to {usable}"
    )
