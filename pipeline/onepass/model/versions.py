"""Choose a version of a model by number, tag or word, and read its state while others train."""

from __future__ import annotations

from typing import TypeAlias

from onepass.errors import ForeignModel, JobError, ModelNotFound
from onepass.ledger.entries import LearntEntry
from onepass.ledger.ledger import Ledger
from onepass.ledger.tag_entry import CURRENT, NEWEST
from onepass.model.directory import OpenModel
from onepass.model.predictor import Predictor
from onepass.model.state import ModelState
from onepass.text import listed

Version: TypeAlias = "int | str | None"
"""A version: its number, a tag, ``newest``, or None for the one that `current` names."""


def chosen(opened: OpenModel, version: Version = None) -> LearntEntry:
    """Return the log entry of a version.

    Parameters
    ----------
    version
        Number of a version with a state, a tag, or ``newest``. None is the version that the tag
        `current` names, or the newest that counts if there is no such tag.

    Raises
    ------
    ModelNotFound
        If nothing has been trained.
    JobError
        If there is no such version or tag, or the version has no state of its own.
    ForeignModel
        If the tags are damaged.
    """
    ledger = opened.ledger
    text = CURRENT if version is None else str(version)
    if text.isdecimal() and len(text) <= 20:
        return _numbered(opened, int(text))
    tagged = None if text == NEWEST else ledger.tags.target(text)
    if tagged is not None:
        return tagged
    if text not in {CURRENT, NEWEST}:
        tags = listed(list(ledger.tags.named()), 20) or "none"
        raise JobError(
            f"the model in {opened.path!r} has no tag {text[:120]!r}; its tags: {tags}; a version "
            f"may also be a number (onepass log {opened.path}), or newest"
        )
    newest = ledger.history.newest_states(1)
    if not newest:
        raise ModelNotFound(f"the model in {opened.path!r} has no usable version; train it first")
    return newest[0]


def current_version(ledger: Ledger) -> int | None:
    """Return the version that predictions use; None if nothing has been trained."""
    target = ledger.tags.target(CURRENT)
    newest = ledger.history.newest_states(1)
    return target.version if target else newest[0].version if newest else None


def read_version(opened: OpenModel, version: Version = None) -> tuple[LearntEntry, ModelState]:
    """Read the state of a version while another process may train and move tags.

    A writer deletes older states as it commits. If a state has been deleted since the log was read,
    the new entries of log and tags are read, and the version is chosen again. If a newest state is
    damaged, the newest sound one is read.

    Raises
    ------
    ForeignModel
        If the state is damaged, or missing though it should be kept.

    Also raises as `chosen`; `JobError` if the state of the version is no longer kept.
    """
    while True:
        entry = chosen(opened, version)
        try:
            return entry, opened.state_of(entry)
        except ForeignModel as error:
            if _has_moved(opened, version, entry):
                continue
            if _means_newest(opened, version):
                return _newest_usable(opened)
            opened.ledger.retention.allow_for_runs()
            if opened.ledger.has_state(entry) or opened.ledger.retention.keeps(entry):
                raise ForeignModel(
                    f"{error}\nVersion {entry.version} cannot be used. Take another one (--version "
                    f"newest), learn it again (onepass rewind {opened.path} --to {entry.version}), "
                    f"or put the file back from a copy; see: onepass verify {opened.path}"
                ) from error
            raise _let_go(opened, entry) from error


def read_predictor(opened: OpenModel, version: Version = None) -> Predictor:
    """Return the weights of a version, for predictions; raises as `read_version`."""
    entry, state = read_version(opened, version)
    return Predictor.of(opened.file, entry, state.learner.best())


def _has_moved(opened: OpenModel, version: Version, entry: LearntEntry) -> bool:
    has_grown = opened.ledger.catch_up()
    opened.ledger.tags.catch_up()
    return chosen(opened, version) != entry or (has_grown and _means_newest(opened, version))


def _means_newest(opened: OpenModel, version: Version) -> bool:
    is_unset = version in {None, CURRENT} and opened.ledger.tags.get(CURRENT) is None
    return is_unset or version == NEWEST


def _newest_usable(opened: OpenModel) -> tuple[LearntEntry, ModelState]:
    entry, state = opened.newest_usable()
    if entry is None or state is None:
        raise ForeignModel(
            f"none of the states in {opened.path!r} can be used; training retrains them; see: "
            f"onepass verify {opened.path}"
        )
    return entry, state


def _numbered(opened: OpenModel, version: int) -> LearntEntry:
    ledger, path = opened.ledger, opened.path
    if version > ledger.version:
        ledger.catch_up()
    if not 1 <= version <= ledger.version:
        raise JobError(
            f"there is no version {version} in {path!r}, whose newest is {ledger.version} "
            f"(onepass log {path} lists them)"
        )
    entry = ledger.entries[version - 1]
    if not isinstance(entry, LearntEntry):
        before = ledger.history.newest_learnt(version)
        instead = f"; version {before} was the newest with a state then" if before else ""
        raise JobError(f"version {version} is a {entry.action} and has no state{instead}")
    return entry


def _let_go(opened: OpenModel, entry: LearntEntry) -> JobError:
    kept = [str(one.version) for one in opened.ledger.retention.stored()]
    return JobError(
        f"the state of version {entry.version} is no longer kept; there are states of "
        f"{listed(kept, 20) or 'no version'}\nTag a version to keep its state (onepass tag "
        f"{opened.path} NAME), or go back to it for good: onepass rewind {opened.path} --to "
        f"{entry.version}"
    )
