"""Open the sessions of a run: find out whose labels it is about, and create missing models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import date
from typing import Any

from onepass.errors import DataError, Interrupted, JobError, ModelNotFound
from onepass.job import Job
from onepass.job_fields import parse_job
from onepass.job_labels import fields_of_labels, parse_labels
from onepass.job_values import absolute
from onepass.lake.discover import LakeFile
from onepass.lake.footer import read_footer
from onepass.lake.tables.open import list_lake
from onepass.lake.tables.table import TableChoice
from onepass.ledger.store import Store, open_store
from onepass.model.directory import model_exists, open_model
from onepass.model.file import MODEL_KEY
from onepass.model.labels import LABELS_KEY, MOST_LABELS, LabelModels, label_models, read_labels
from onepass.model.table_choice import trained_choice
from onepass.training.limits import LIMITS, Limits
from onepass.training.opening import check_holdout
from onepass.training.progress import Progress
from onepass.training.rolling_holdout import Window, utc_today
from onepass.training.session import Session, open_session
from onepass.training.sessions import Sessions


def names_several(given: Mapping[str, Any]) -> bool:
    """Return whether a job is of several labels.

    A text with a comma is one label if the lake has a column of this name, or the model has it.
    """
    labels, place = _listed(given), given.get("model")
    if labels is not None:
        return len(labels) != 1
    is_left_out = place and given.get("label") is None
    return bool(is_left_out) and open_store(absolute(place)).exists(LABELS_KEY)


def of_one_label(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a job of one label, which may be the only one of a list."""
    labels = _listed(given)
    return dict(given) if labels is None else {**given, "label": labels[0]}


def _listed(given: Mapping[str, Any]) -> list[Any] | None:
    """Return the labels of a list, or of a text with commas; None where a label stands alone."""
    label, place = given.get("label"), given.get("model")
    if isinstance(label, list | tuple):
        return list(label)
    if not place or not isinstance(label, str) or "," not in label:
        return None
    store = open_store(absolute(place))
    is_one = store.exists(MODEL_KEY) or (not store.exists(LABELS_KEY) and _is_column(label, given))
    return None if is_one else _parsed(label)


def _parsed(label: Any) -> list[str]:
    try:
        return parse_labels(label)
    except ValueError as error:
        raise JobError(f"--label: {error}") from None


def _is_column(name: str, given: Mapping[str, Any]) -> bool:
    if "lake" not in given:
        return False
    lake = given["lake"]
    paths = [absolute(one) for one in lake] if isinstance(lake, list) else absolute(lake)
    choice = TableChoice(as_files=bool(given.get("as_files", False)))
    return name in (_columns(list_lake(paths, choice)) or ())


def _columns(files: Sequence[LakeFile]) -> list[str] | None:
    """Return the columns of the first file; None if there is none that can be read."""
    try:
        return list(read_footer(files[0]).schema.names) if files else None
    except DataError:
        return None


@contextmanager
def open_sessions(given: Mapping[str, Any], progress: Progress) -> Iterator[Sessions]:
    """Open the sessions of a job of one label or of several, until the context ends.

    Parameters
    ----------
    given
        Fields of the job; for existing models ``{"model": directory}`` is enough.

    Raises as `open_session` and `open_several`.
    """
    if names_several(given):
        with open_several(given, progress) as sessions:
            yield sessions
        return
    with open_session(of_one_label(given), progress) as session:
        yield Sessions(session.model.path, [session.job.label], [session])


@contextmanager
def open_several(
    given: Mapping[str, Any], progress: Progress, *, limits: Limits = LIMITS
) -> Iterator[Sessions]:
    """Open a session for the model of each label, until the context ends.

    Models that do not exist are created, all or none of them; what a killed run has created stays.

    Parameters
    ----------
    given
        Fields of the job; for existing models ``{"model": directory}`` is enough.

    Raises
    ------
    JobError
        If a label is none, or anything else as well, or the job contradicts the models; further as
        `open_session` does.
    """
    if "model" not in given:
        raise JobError("the job needs 'model': give --model or set it in --config")
    root = absolute(given["model"])
    store = open_store(root)
    if store.exists(MODEL_KEY):
        raise JobError(
            f"the model in {root!r} is of one label; give several labels a --model of their own"
        )
    today = utc_today()
    known = read_labels(store)
    several = _asked(given, known, root)
    labels, places = several.labels, several.places(root)
    gone = [one for one in places if not model_exists(open_store(one))]
    if known is not None and gone and "lake" not in given:
        raise ModelNotFound(
            f"{known.told(root)}, but there is no model in {gone[0]!r}: it was never created, or "
            "is gone; run the first command again, with LAKE, --label and all its other options"
        )
    fields = fields_of_labels(given, labels, places, creates=bool(gone))
    if gone or known is None:
        _create(fields, store, several, progress, limits, today)
    try:
        with ExitStack() as stack:
            sessions: list[Session] = []
            for label, own in zip(labels, fields, strict=True):
                opened = open_session(
                    own,
                    progress.of_label(label),
                    creates=False,
                    limits=limits,
                    workers=sessions[0].workers if sessions else None,
                    today=today,
                )
                sessions.append(stack.enter_context(opened))
            yield Sessions(root, labels, sessions)
    except KeyboardInterrupt:
        raise Interrupted(
            "interrupted: what was committed is kept; go on with: "
            f"onepass train --model {store.place}"
        ) from None


def _asked(given: Mapping[str, Any], known: LabelModels | None, root: str) -> LabelModels:
    """Return the models that a run is about."""
    asked = _parsed(given["label"]) if "label" in given else []
    if known is not None:
        if asked and {*asked} != {*known.labels}:
            raise JobError(
                f"{known.told(root)}; this run asks for {asked}: leave --label out to go on with "
                "them, or give another --model"
            )
        return known
    if not asked or "lake" not in given:
        raise ModelNotFound(f"no model in {root!r}; to create one, give LAKE and --label")
    if len(asked) > MOST_LABELS:
        raise JobError(f"expected at most {MOST_LABELS:,} labels, found {len(asked):,}")
    return label_models(asked)


def _create(
    fields: Sequence[Mapping[str, Any]],
    store: Store,
    several: LabelModels,
    progress: Progress,
    limits: Limits,
    today: date,
) -> None:
    """Create the file that names all models, and those that do not exist.

    The file comes first: a run that is killed in between leaves a directory that says what it is.
    """
    # Imported here: the run of models that exist needs no survey, whose modules take 0.1 s.
    from onepass.training.new_models import create_models

    jobs = [parse_job(one) for one in fields]
    stores = [open_store(job.model) for job in jobs]
    missing = [i for i, one in enumerate(stores) if not model_exists(one)]
    check_holdout(jobs[0])
    _check_columns(several.labels, jobs[0])
    data = several.model_dump_json(indent=2).encode() + b"\n"
    if missing:
        warnings = create_models(
            [jobs[i] for i in missing],
            [stores[i] for i in missing],
            decided=lambda: store.create(LABELS_KEY, data),
            beside=[open_model(one).file for i, one in enumerate(stores) if i not in missing],
            max_batch_rows=limits.max_batch_rows,
            progress=progress,
            window=Window.of_job(jobs[0], today),
        )
        _note(dict(zip([several.labels[i] for i in missing], warnings, strict=True)), progress)
    else:
        store.create(LABELS_KEY, data)


def _check_columns(labels: Sequence[str], job: Job) -> None:
    """Check that the lake has the labels, which a survey would first miss as excluded columns."""
    names = _columns(list_lake(job.lake, trained_choice(job)))
    for label in labels:
        if names is not None and label not in names:
            raise JobError(f"no column {label!r} in {job.lake!r}; the columns are {sorted(names)}")


def _note(warnings: Mapping[str, Sequence[str]], progress: Progress) -> None:
    """Pass on warnings; those that all models have in common come once, without a label."""
    first, *others = warnings.values()
    common = [one for one in first if all(one in other for other in others)]
    for one in common:
        progress.noted(one)
    for label, own in warnings.items():
        for one in own:
            if one not in common:
                progress.of_label(label).noted(one)
