"""Write the page about a model to a file."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path, PurePath

from pydantic import BaseModel

from onepass.actions.evaluate import EvaluateReport, evaluate_version
from onepass.cloud.url import is_url
from onepass.environment import onepass_version
from onepass.errors import JobError, OnepassError, first_line
from onepass.job_holdout import RollingHoldout
from onepass.ledger.store import open_store
from onepass.model.directory import open_model
from onepass.model.evaluations import Evaluation, recorded, shown_lake
from onepass.model.model import Model
from onepass.model.table_choice import table_choice
from onepass.model.versions import read_version
from onepass.report.checks import checks
from onepass.report.contents import Judged, collect
from onepass.training.progress import Progress

_NEEDED = ("altair", "jinja2", "vl_convert")


class PageReport(BaseModel):
    """Outcome of writing a page."""

    model: str
    """Model directory."""
    version: int
    """Version that the page is about."""
    out: str
    """File or URL of the page."""
    bytes: int
    """Size of the page in bytes."""
    to_look_at: list[str]
    """Titles of what the page asks somebody to look at."""
    warnings: list[str]
    """Parts that the page lacks, each with the reason."""


def write_report(
    model: str | Path,
    out: str | Path | None = None,
    *,
    version: int | str | None = None,
    holdout: str | list[str] | None = None,
    dask: str | None = None,
    progress: Progress | None = None,
) -> PageReport:
    """Write one self-contained HTML page about a model.

    Parameters
    ----------
    model
        Model directory.
    out
        File or URL to write to, replacing what was there; by default a file in the working
        directory that is called as the model.
    version
        See `Model.load`.
    holdout
        Lake with labels to judge the version on. By default its recorded evaluation is shown, or it
        is judged on the holdout of the job. If that cannot be read, the page says so; a lake that
        is given must be there.
    dask
        Address of a Dask scheduler that reads the holdout; threads of this process by default.

    Raises
    ------
    JobError, ModelNotFound
        If the extra `report` is not installed, or there is no such version or holdout.
    ForeignModel
        If the directory is unsound.
    DataError
        If a file of the given holdout is bad, or it has no row with a label.
    """
    _require_extra()
    # Imported here: the libraries of the extra need not be installed.
    from onepass.report.page import page

    folder, file = _place(f"{PurePath(str(model)).name or 'model'}-report.html", out)
    opened = open_model(model)
    entry, state = read_version(opened, version)
    loaded = Model(opened, state, entry)
    known = recorded(opened.store)
    evaluated, notes = _evaluated(loaded, known, holdout, dask, progress)
    own = loaded.file.job.holdout
    # A rolling holdout is shown by the files that were recorded.
    lake = holdout or ("" if isinstance(own, RollingHoldout) or own is None else own)
    contents = collect(
        loaded,
        opened.ledger.history,
        evaluated=evaluated,
        judged=[_judged(one, one.lake, one.time) for one in known]
        + [_judged(one, shown_lake(lake), "") for one in _measured_now(evaluated)],
        tags={name: one.version for name, one in opened.ledger.tags.named().items() if one.version},
        notes=notes,
    )
    made = f"Made {datetime.now(UTC):%Y-%m-%d %H:%M} UTC by onepass {onepass_version()}."
    # A name of a file may have bytes that are not UTF-8.
    data = page(contents, made=made).encode("utf-8", "backslashreplace")
    open_store(folder).put(file, data)
    return PageReport(
        model=str(model),
        version=loaded.version,
        out=file if folder == "." else f"{folder.rstrip('/')}/{file}",
        bytes=len(data),
        to_look_at=[one.title for one in checks(contents) if one.standing == "look"],
        warnings=notes,
    )


def _require_extra() -> None:
    missing = [module for module in _NEEDED if find_spec(module) is None]
    if missing:
        raise JobError(
            f"a report needs the extra 'report' ({', '.join(missing)} not found): "
            "pip install 'onepass[report]'"
        )


def put_file(out: str, text: str) -> None:
    """Write a text to a file or URL, replacing what was there.

    Raises
    ------
    JobError
        If `out` is a folder.
    """
    folder, file = _place("", out)
    # A name of a file may have bytes that are not UTF-8.
    open_store(folder).put(file, text.encode("utf-8", "backslashreplace"))


def _place(default: str, out: str | Path | None) -> tuple[str, str]:
    """Return the folder or prefix of the page, and its name there.

    Raises
    ------
    JobError
        If `out` is a folder.
    """
    if out is None:
        return ".", default
    text = str(out)
    if text.endswith("/") or (not is_url(text) and Path(text).is_dir()):
        raise JobError(f"expected a file to write to, found the folder {text!r}")
    folder, _, file = text.rpartition("/")
    return folder or ("/" if text.startswith("/") else "."), file


def _evaluated(
    model: Model,
    known: Sequence[Evaluation],
    holdout: str | list[str] | None,
    dask: str | None,
    progress: Progress | None,
) -> tuple[Evaluation | EvaluateReport | None, list[str]]:
    """Return the quality of the version on a holdout, and what hindered that."""
    own = [one for one in known if one.state_sha256 == model.entry.state.sha256]
    lake = holdout or model.file.job.holdout
    if own and holdout is None:
        return own[-1], []
    # Other forms of a holdout take rows out of the lake while it is learnt.
    if not isinstance(lake, str | list):
        return None, []
    try:
        found = evaluate_version(
            model.predictor,
            lake,
            model.file.job.model,
            choice=table_choice(model.file.job),
            dask=dask,
            progress=progress,
            residuals=True,
        )
    except (OnepassError, OSError) as error:
        if holdout:
            raise
        return None, [f"the holdout of the job could not be read: {first_line(error)}"]
    return found, []


def _measured_now(found: Evaluation | EvaluateReport | None) -> list[EvaluateReport]:
    return [found] if isinstance(found, EvaluateReport) else []


def _judged(one: Evaluation | EvaluateReport, lake: str, time: str) -> Judged:
    constant = one.metrics.get("constant_loss")
    return Judged(one.version, lake, one.rows, one.loss, constant, time)
