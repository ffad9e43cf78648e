"""Build the events of onepass; `sending` sends them.

`docs/events.md` documents names, resources and payloads; triggers of automations rely on them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prefect.events import Event, RelatedResource

from onepass.ledger.entries import TrainEntry
from onepass.text import printable
from prefect_onepass.assets import asset_key, lake_keys
from prefect_onepass.figures import mean

MOST_NAMED = 20
"""Most files or partitions that a payload names."""

_MOST_TEXT = 2000
"""Most characters of a text in a payload or label."""

PARTITION_TRAINED = "onepass.partition.trained"
MODEL_UPDATED = "onepass.model.updated"
MODEL_REFUSED = "onepass.model.refused"
MODEL_QUARANTINED = "onepass.model.quarantined"
LAKE_LANDED = "onepass.lake.landed"


@dataclass(frozen=True, slots=True)
class Subject:
    """The model that events are about."""

    id: str
    """Id in `model.json`; copies of a model have the same."""
    path: str
    """Directory or URL of the model."""
    label: str
    """Column that it predicts."""
    lake: str | list[str]
    """Lakes of its job."""


def partition_trained(subject: Subject, entries: Sequence[TrainEntry]) -> Event:
    """Build the event of one committed round, or of several that followed each other quickly."""
    partitions = [one.path for entry in entries for one in entry.partitions]
    last = entries[-1]
    rows, seconds = sum(entry.rows for entry in entries), sum(entry.seconds for entry in entries)
    constants = [(entry.rows, entry.metrics.get("constant_loss")) for entry in entries]
    return _about_model(
        PARTITION_TRAINED,
        subject,
        version=last.version,
        payload={
            "first_version": entries[0].version,
            "epoch": last.epoch,
            "n_partitions": len(partitions),
            "partitions": _named(partitions),
            "rows": rows,
            "loss": mean([(entry.rows, entry.loss) for entry in entries]),
            "constant_loss": mean(constants),
            "seconds": seconds,
            "rows_per_second": rows / seconds if seconds else None,
        },
    )


def model_updated(
    subject: Subject,
    *,
    version: int,
    state_sha256: str | None,
    partitions: int,
    rows: int,
    loss: float | None,
    constant_loss: float | None = None,
    holdout_loss: float | None = None,
    seconds: float | None = None,
    tags: Sequence[str] = ("current",),
) -> Event:
    """Build the event of a run that has trained a version and published it.

    Parameters
    ----------
    partitions, rows, loss, constant_loss, seconds
        Of this run; losses are progressive means per row.
    holdout_loss
        Mean loss per row of the holdout, if the job has one.
    tags
        Tags that point to the version now.
    """
    return _about_model(
        MODEL_UPDATED,
        subject,
        version=version,
        payload={
            "state_sha256": state_sha256,
            "partitions": partitions,
            "rows": rows,
            "loss": loss,
            "constant_loss": constant_loss,
            "holdout_loss": holdout_loss,
            "seconds": seconds,
            "tags": list(tags[:MOST_NAMED]),
        },
    )


def model_refused(
    subject: Subject,
    *,
    version: int,
    current: int,
    by: str,
    loss: float | None,
    limit: float | None,
    current_loss: float | None,
    reason: str,
) -> Event:
    """Build the event of a version that is kept but not published, because it is worse.

    Parameters
    ----------
    current
        Version that stays published.
    by, loss, limit, current_loss, reason
        What was compared; see `onepass.actions.judge.Judgement`.
    """
    return _about_model(
        MODEL_REFUSED,
        subject,
        version=version,
        payload={
            "current": current,
            "by": by,
            "loss": loss,
            "limit": limit,
            "current_loss": current_loss,
            "reason": reason,
        },
    )


def model_quarantined(
    subject: Subject, *, version: int, files: Mapping[str, str] | Sequence[tuple[str, str]]
) -> Event:
    """Build the event of files that a run has set aside.

    Parameters
    ----------
    files
        Each file with the reason.
    """
    pairs = list(files.items()) if isinstance(files, Mapping) else list(files)
    named = [{"file": path, "reason": reason} for path, reason in pairs[:MOST_NAMED]]
    return _about_model(
        MODEL_QUARANTINED,
        subject,
        version=version,
        payload={"n_files": len(pairs), "files": named},
    )


def lake_landed(
    lake: str, *, new: Sequence[str], replaced: Sequence[str], n_bytes: int, at_start: bool = False
) -> Event:
    """Build the event of files that have landed in a lake.

    Parameters
    ----------
    new, replaced
        Files by their names in the lake.
    n_bytes
        Size of all of them.
    at_start
        Whether these are all files that were there when the watch began.
    """
    key = asset_key(lake)
    return Event(
        event=LAKE_LANDED,
        resource=_labels(
            {
                "prefect.resource.id": f"onepass.lake.{key}",
                "prefect.resource.name": key,
                "onepass.lake.path": lake,
            }
        ),
        related=[RelatedResource(_asset(key))],
        payload=_plain(
            {
                "lake": lake,
                "n_new": len(new),
                "n_replaced": len(replaced),
                "bytes": n_bytes,
                "new": _named(new),
                "replaced": _named(replaced),
                "at_start": at_start,
            }
        ),
    )


def _about_model(name: str, subject: Subject, *, version: int, payload: Mapping[str, Any]) -> Event:
    key = asset_key(subject.path)
    lakes = lake_keys(subject.lake)
    related = [
        {"prefect.resource.id": f"onepass.lake.{lake}", "prefect.resource.role": "lake"}
        for lake in lakes
    ]
    return Event(
        event=name,
        resource=_labels(
            {
                "prefect.resource.id": f"onepass.model.{subject.id}",
                "prefect.resource.name": key.rsplit("/", 1)[-1],
                "onepass.model.path": subject.path,
                "onepass.label": subject.label,
            }
        ),
        related=[RelatedResource(labels) for labels in [_asset(key), *related]],
        payload=_plain({"model": subject.path, "id": subject.id, "version": version, **payload}),
    )


def _asset(key: str) -> dict[str, str]:
    return {"prefect.resource.id": key, "prefect.resource.role": "asset"}


def _labels(labels: Mapping[str, str]) -> Any:
    return {name: _text(value) for name, value in labels.items() if value}


def _plain(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return a payload that is JSON: numbers that are not finite are null."""
    return {name: _json(value) for name, value in payload.items()}


def _json(value: Any) -> Any:
    match value:
        case float():
            return value if math.isfinite(value) else None
        case str():
            return _text(value)
        case Mapping():
            return _plain(value)
        case list():
            return [_json(one) for one in value]
        case _:
            return value


def _text(text: str) -> str:
    return printable(text)[:_MOST_TEXT]


def _named(names: Sequence[str]) -> list[str]:
    return list(names[:MOST_NAMED])
