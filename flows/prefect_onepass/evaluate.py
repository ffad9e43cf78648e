"""The evaluate flow: measure a version of a model on a lake with labels, and record the result.

The record lies in the model directory. The same state on the same files is not evaluated again, so
a run that follows each training costs little where nothing has changed.
"""

# Prefect loads a served flow from its path and cannot resolve postponed annotations there
# ("TrainModel is not fully defined"), so annotations are evaluated at once.
from dataclasses import dataclass
from typing import Annotated, Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed
from pydantic import Field

from onepass.actions.evaluate import EvaluateReport
from onepass.actions.evaluate import evaluate as evaluate_lake
from onepass.errors import JobError, LossTooHigh
from onepass.model.directory import open_model
from onepass.model.evaluations import Evaluation, recorded, shown_lake
from onepass.text import counted
from prefect_onepass.artifacts import artifact_key
from prefect_onepass.background import Background
from prefect_onepass.console import outlive_console
from prefect_onepass.credentials import lent
from prefect_onepass.engine import adapt_engine
from prefect_onepass.figures import rounded
from prefect_onepass.messages import told
from prefect_onepass.names import rename_task_run, run_name
from prefect_onepass.pass_log import PassLog
from prefect_onepass.paths import Lake, Place
from prefect_onepass.states import EXPECTED, NOTHING_NEW, failed, may_pass

adapt_engine()

TOO_HIGH = "LossTooHigh"

_MOST_LINES = 100
"""Most evaluations in the table, the newest."""

_MOST_READ = 1000
"""Most recorded evaluations, of any lake, among which those of the table are looked for."""


def _run_name() -> str:
    return run_name("evaluate", str(flow_run.parameters.get("model") or ""))


@dataclass(frozen=True, slots=True)
class Judged:
    """An evaluation, and those that were recorded on the same lake before."""

    report: EvaluateReport
    model_id: str
    lake: str | list[str]
    is_new: bool
    """Whether the rows were read for it."""
    history: list[Evaluation]
    """Recorded evaluations on this lake, by version and time; none if it is not new."""


@task(
    name="evaluate",
    cache_policy=NO_CACHE,
    retries=2,
    retry_delay_seconds=5,
    retry_condition_fn=may_pass,
)
def evaluate_files(
    model: str,
    lake: str | list[str] | None,
    version: str | None,
    again: bool,
    dask: str | None,
) -> Judged:
    """Evaluate a version, or find the record of it."""
    opened = open_model(model)
    lake = _holdout(opened.file.job.holdout, model) if lake is None else lake
    before = set(opened.store.list("evaluations"))
    report = evaluate_lake(
        lake,
        model,
        version=version,
        record=True,
        again=again,
        dask=dask,
        progress=PassLog("evaluated"),
    )
    is_new = report.recorded is None or report.recorded not in before
    evaluations = recorded(opened.store, most=_MOST_READ) if is_new else []
    history = [one for one in evaluations if one.lake == shown_lake(lake)]
    rename_task_run(f"evaluate version {report.version} on {counted(report.rows, 'row')}")
    return Judged(report, opened.file.id, lake, is_new, history)


def _holdout(holdout: Any, model: str) -> str | list[str]:
    if isinstance(holdout, str | list):
        return holdout
    raise JobError(
        f"the model in {model!r} has no holdout lake of its own; expected 'lake', the path or URL "
        "of rows with labels that the model has not learnt"
    )


@flow(name="evaluate", flow_run_name=_run_name)
def evaluate(
    model: Place,
    lake: Lake | None = None,
    version: str = "current",
    max_loss: float | None = None,
    max_loss_of_constant: Annotated[float, Field(gt=0)] | None = None,
    again: bool = False,
    dask: str | None = None,
    credentials: str | None = None,
) -> Any:
    """Measure a version of a model on a lake with labels, and record the result.

    Args:
        model: Model directory.
        lake: Directory, glob, file or list of files with the label. Default: the holdout lake of
            the model's job.
        version: The version to evaluate: current, newest, a tag or a number.
        max_loss: The run fails if the loss is higher.
        max_loss_of_constant: The run fails if the loss is higher than this share of the loss of
            the best constant prediction, such as 0.9. 1 asks for a model that is of some use.
        again: Read the rows also if the same version has been evaluated on the same files.
        dask: Address of a Dask scheduler; unset: threads of this process.
        credentials: Prefect block for object stores, such as aws-credentials/lakes.

    Returns:
        The state of the run. Its result is the report as a dict: rows, loss, metrics. A call in
        Python gives the result, and raises the error of a run that has failed.
    """
    outlive_console()
    logger = get_run_logger()
    given = None if version in {"", "current"} else version
    try:
        with lent(credentials), Background() as background:
            judged = evaluate_files(model, lake, given, again, dask or None)
            if judged.is_new:
                _publish(background, judged)
        check_bounds(judged.report, max_loss, max_loss_of_constant)
    except LossTooHigh as error:
        state: State[Any] = Failed(name=TOO_HIGH, message=told(error), data=error)
    except EXPECTED as error:
        state = failed(error)
    else:
        state = ended(judged)
        logger.info(state.message)
        return state
    logger.error(state.message)
    return state


def ended(judged: Judged) -> State[dict[str, Any]]:
    """Return the state of a run that has come to its end."""
    text, values = summary(judged.report), judged.report.model_dump()
    if judged.is_new:
        return Completed(message=text, data=values)
    return Completed(name=NOTHING_NEW, message=f"evaluated before: {text}", data=values)


def summary(report: EvaluateReport) -> str:
    """Return the loss of a version in a line."""
    return (
        f"version {report.version}: loss {rounded(report.loss)} on {report.rows:,} rows, best "
        f"constant {rounded(report.metrics.get('constant_loss'))}"
    )


def check_bounds(
    report: EvaluateReport, max_loss: float | None, max_loss_of_constant: float | None
) -> None:
    """Check the loss of a version.

    Raises
    ------
    LossTooHigh
        If it is above a bound.
    """
    constant = report.metrics.get("constant_loss")
    bounds = [] if max_loss is None else [("max_loss", max_loss)]
    if max_loss_of_constant is not None and constant is not None:
        bound = max_loss_of_constant * constant
        bounds.append((f"max_loss_of_constant ({max_loss_of_constant:g})", bound))
    for name, bound in bounds:
        # A loss that is not a number is above every bound.
        if not report.loss <= bound:
            raise LossTooHigh(
                f"{summary(report)}; above the {rounded(bound)} of {name}\n"
                "The version is kept. Look at its runs with onepass log, train on, or let "
                "'current' name an earlier version: onepass tag DIR current --version VERSION"
            )


def _publish(background: Background, judged: Judged) -> None:
    table, description = table_of(judged.history), summary(judged.report)
    key = artifact_key("evaluation", judged.report.model, judged.model_id)
    if table:
        background.send(
            "the table of evaluations",
            lambda: create_table_artifact(table, key=key, description=description),
        )


def table_of(history: list[Evaluation]) -> list[dict[str, Any]]:
    """Return a line for each recorded evaluation, the newest version first."""
    return [_line(one) for one in reversed(history[-_MOST_LINES:])]


def _line(one: Evaluation) -> dict[str, Any]:
    constant = one.metrics.get("constant_loss")
    share = one.loss / constant if constant else None
    return {
        "version": one.version,
        "time": one.time[:16].replace("T", " "),
        "files": f"{one.files:,}",
        "rows": f"{one.rows:,}",
        "loss": rounded(one.loss),
        "best constant": rounded(constant),
        "loss / constant": rounded(share, 4),
        **{
            name: rounded(value)
            for name, value in one.metrics.items()
            if name != "constant_loss" and value != one.loss
        },
    }
