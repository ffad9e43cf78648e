"""Recorded evaluations of a model's versions: `evaluations/` in the model directory.

Each is a sealed JSON object of its own, written once. Nothing depends on them, so a damaged record
is left out with a warning. They show how versions compare, and save evaluating the same state on
the same files again.
"""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, FailFast, Field, ValidationError
from pydantic_core import from_json

from onepass.errors import ForeignModel, StoreError, first_line
from onepass.ledger.entries import digest, first_fault, is_sealed, sealed, unsealed
from onepass.ledger.store import Store
from onepass.partition import Fingerprint

MAX_BYTES = 1 << 20
"""Largest record that is read or written."""

MAX_TOTAL_BYTES = 32 << 20
"""Most bytes of records that are read at once."""

MAX_RECORDS = 10_000
"""Most records that are read, those of the newest versions."""

_NAME = re.compile(r"evaluations/([0-9]{8,20})-[0-9a-f]{32}\.json")
_DIGEST = "^[0-9a-f]{64}$"

logger = logging.getLogger(__name__)


class Evaluation(BaseModel):
    """Metrics of one version on the rows of one lake."""

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())

    version: int = Field(ge=1)
    state_sha256: str = Field(pattern=_DIGEST)
    """Digest of the state of that version."""
    lake: str = Field(max_length=2000)
    """The lake, as it was given; of a list of files the first ones."""
    files_sha256: str = Field(pattern=_DIGEST)
    """Digest of the names and fingerprints of its files; see `digest_of`."""
    files: int = Field(ge=0)
    """Number of files."""
    rows: int = Field(ge=0)
    """Rows with a label."""
    loss: float = Field(allow_inf_nan=False)
    """The job's loss, weighted mean per row."""
    metrics: dict[str, float | None]
    tables: dict[str, Annotated[list[dict[str, float | str | None]], FailFast()]]
    counts: dict[str, int]
    seconds: float
    """Time that the evaluation took."""
    time: str = Field(default="", max_length=40)
    """Time of the record, UTC, ISO 8601."""


def digest_of(files: Iterable[tuple[str, Fingerprint]]) -> str:
    """Return a digest of the keys and fingerprints of files, in any order."""
    lines = sorted(f"{key}\0{fingerprint.content}" for key, fingerprint in files)
    return digest("\n".join(lines).encode())


def shown_lake(lake: str | list[str]) -> str:
    """Return a lake as a record names it."""
    if isinstance(lake, str):
        return lake[:1000]
    more = f" and {len(lake) - 1:,} more" if len(lake) > 1 else ""
    return "".join(lake[:1])[:1000] + more


def record(store: Store, evaluation: Evaluation) -> str | None:
    """Write the record of an evaluation, and return its key.

    Returns
    -------
    None, after a warning, if the model cannot be written or the record is too long: the evaluation
    itself has succeeded.
    """
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    data = sealed(evaluation.model_copy(update={"time": now}).model_dump_json().encode())
    key = f"evaluations/{evaluation.version:08d}-{uuid.uuid4().hex}.json"
    try:
        if len(data) > MAX_BYTES:
            raise StoreError(f"{len(data):,} bytes, at most {MAX_BYTES:,} are kept")
        store.create(key, data)
    except (OSError, StoreError) as error:
        logger.warning("the evaluation is not recorded in %s: %s", store.place, error)
        return None
    return key


def recorded(
    store: Store, version: int | None = None, *, most: int = MAX_RECORDS
) -> list[Evaluation]:
    """Return the evaluations of a model, by version and time.

    Parameters
    ----------
    version
        Only those of this version; all by default.
    most
        Most records to read, those of the newest versions.

    Notes
    -----
    Records that cannot be read are left out, with one warning for all of them. Of very many records
    those of the newest versions are returned.
    """
    found, faults = read_records(store, version, most=most)
    if faults:
        more = f" (and {len(faults) - 1:,} more)" if len(faults) > 1 else ""
        logger.warning("an evaluation is left out: %s%s", next(iter(faults.values())), more)
    return list(found.values())


def find(
    store: Store, version: int, state_sha256: str, files_sha256: str
) -> tuple[str, Evaluation] | None:
    """Return the newest record of one state on some files, with its key; None if there is none."""
    found, _ = read_records(store, version)
    for key, one in reversed(found.items()):
        if (one.state_sha256, one.files_sha256) == (state_sha256, files_sha256):
            return key, one
    return None


def read_records(
    store: Store, version: int | None = None, *, most: int = MAX_RECORDS
) -> tuple[dict[str, Evaluation], dict[str, str]]:
    """Return the evaluations of `recorded` by key, and the fault of each key that has one."""
    found: dict[str, Evaluation] = {}
    faults: dict[str, str] = {}
    left = MAX_TOTAL_BYTES
    for key in _keys(store, version)[:most]:
        try:
            data = store.get(key, most_bytes=MAX_BYTES)
            left -= len(data)
            if left < 0:
                break
            found[key] = _load(data, key)
        except ForeignModel as error:
            faults[key] = first_line(error)
        except OSError as error:
            faults[key] = f"{key}: {error.strerror}"
    by_time = sorted(found.items(), key=lambda one: (one[1].version, one[1].time, one[0]))
    return dict(by_time), faults


def _keys(store: Store, version: int | None) -> list[str]:
    """Return the keys of records, those of the newest versions first."""
    numbered: list[tuple[int, str]] = []
    for key in store.list("evaluations"):
        match = _NAME.fullmatch(key)
        if match is not None and version in {None, int(match[1])}:
            numbered.append((int(match[1]), key))
    return [key for _, key in sorted(numbered, reverse=True)[:MAX_RECORDS]]


def _load(data: bytes, key: str) -> Evaluation:
    if not is_sealed(data):
        raise ForeignModel(f"{key} is damaged: it has no seal")
    try:
        found: Any = from_json(unsealed(data, key))
        evaluation = Evaluation.model_validate(found)
    except ValidationError as error:
        raise ForeignModel(f"{key} is damaged: {first_fault(error)}") from None
    except ForeignModel:
        raise
    except ValueError as error:
        raise ForeignModel(f"{key} is damaged: {str(error)[:200]}") from None
    if f"{evaluation.version:08d}" != key.removeprefix("evaluations/").partition("-")[0]:
        raise ForeignModel(f"{key} is damaged: it is of version {evaluation.version}")
    return evaluation
