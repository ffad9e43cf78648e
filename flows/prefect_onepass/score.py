"""The score flow: write predictions for a lake as Parquet, only where they are missing or outdated.

A run looks into the output first, so a retried run, an overlapping run and the next run all go on
from the files that are finished.
"""

# Prefect loads a served flow from its path and cannot resolve postponed annotations there
# ("TrainModel is not fully defined"), so annotations are evaluated at once.
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed

from onepass.actions.score import ScoreReport
from onepass.actions.score import score as score_lake
from onepass.errors import OutputTaken
from onepass.text import counted, listed, printable
from prefect_onepass.artifacts import artifact_key
from prefect_onepass.background import Background
from prefect_onepass.console import outlive_console
from prefect_onepass.credentials import lent
from prefect_onepass.engine import adapt_engine
from prefect_onepass.figures import duration
from prefect_onepass.messages import told
from prefect_onepass.names import rename_task_run, run_name
from prefect_onepass.pass_log import PassLog
from prefect_onepass.paths import Lake, Place
from prefect_onepass.states import EXPECTED, NOTHING_NEW, failed, may_pass

adapt_engine()

ANOTHER_RUN = "AnotherRunIsScoring"

_MOST_NAMED = 10
"""Most files that the report of a run names."""


def _run_name() -> str:
    return run_name("score", str(flow_run.parameters.get("model") or ""))


@task(
    name="score",
    cache_policy=NO_CACHE,
    retries=2,
    retry_delay_seconds=5,
    retry_condition_fn=may_pass,
)
def score_files(given: dict[str, Any]) -> ScoreReport:
    """Write the prediction files that are missing or outdated."""
    report = score_lake(**given, progress=PassLog("scored"))
    name = f"score {counted(report.partitions, 'file')}, {counted(report.new_rows, 'row')}"
    rename_task_run(name)
    return report


@flow(name="score", flow_run_name=_run_name)
def score(
    model: Place,
    out: Place,
    lake: Lake | None = None,
    version: str = "current",
    keep: list[str] | None = None,
    new_only: bool = False,
    prune: bool = False,
    version_column: str | None = None,
    interval: float | None = None,
    dask: str | None = None,
    credentials: str | None = None,
) -> Any:
    """Write a prediction for every row of a lake.

    Args:
        model: Model directory.
        out: Output directory; files have the names they have in the lake.
        lake: Directory, glob, file or list of files with the model's feature columns. Default: the
            lake that the model is trained on.
        version: The version that predicts: current, newest, a tag or a number.
        keep: Columns of the lake to copy beside the predictions, such as an id.
        new_only: Keep files of unchanged inputs that an earlier version has written. Default: a
            version that has moved rewrites all files.
        prune: Remove prediction files whose inputs are not in the lake.
        version_column: Name of a column to write with the version of the model.
        interval: Coverage, such as 0.95, of intervals to write as further columns.
        dask: Address of a Dask scheduler; unset: threads of this process.
        credentials: Prefect block for object stores, such as aws-credentials/lakes.

    Returns:
        The state of the run. Its result is the report as a dict: rows, files written, files that
        were there already. A call in Python gives the result, and raises the error of a run that
        has failed.
    """
    outlive_console()
    logger = get_run_logger()
    given = {
        "lake": lake,
        "model": model,
        "out": out,
        "version": None if version in {"", "current"} else version,
        "keep": keep,
        "new_only": new_only,
        "prune": prune,
        "version_column": version_column or None,
        "interval": interval,
        "dask": dask or None,
    }
    try:
        with lent(credentials), Background() as background:
            report = score_files(given)
            state = ended(report)
            if state.name != NOTHING_NEW:
                _publish(background, report)
    except OutputTaken as error:
        state = _another(error, model, out)
    except EXPECTED as error:
        state = failed(error)
        logger.error(told(error))
        return state
    logger.info(state.message)
    return state


def ended(report: ScoreReport) -> State[dict[str, Any]]:
    """Return the state of a run that has come to its end."""
    version = f"version {report.version}" + (
        f" ({report.asked})" if report.asked != str(report.version) else ""
    )
    values = report.model_dump()
    if not report.partitions and not report.pruned:
        text = f"nothing new: {counted(report.unchanged, 'file')}, {version}"
        return Completed(name=NOTHING_NEW, message=text, data=values)
    pruned = f", removed {len(report.pruned):,}" if report.pruned else ""
    text = f"Scored {counted(report.partitions, 'file')}, {report.new_rows:,} rows{pruned}"
    return Completed(message=f"{text}: {version}", data=values)


def _another(error: OutputTaken, model: str, out: str) -> State[dict[str, Any]]:
    return Completed(
        name=ANOTHER_RUN,
        message=told(error),
        data={"model": model, "out": out, "partitions": 0, "message": told(error)},
    )


def _publish(background: Background, report: ScoreReport) -> None:
    key = artifact_key("score", report.model, report.model_id)
    text, description = described(report), str(ended(report).message)
    background.send(
        "the report", lambda: create_markdown_artifact(text, key=key, description=description)
    )


def described(report: ScoreReport) -> str:
    """Describe a run in markdown."""
    speed = report.new_rows / max(report.seconds, 1e-9)
    lines = [
        f"{ended(report).message}.",
        "",
        "| | files | rows |",
        "|---|---|---|",
        f"| written by this run | {report.partitions:,} | {report.new_rows:,} |",
        f"| there before | {report.unchanged:,} | {report.rows - report.new_rows:,} |",
        "",
        f"It took {duration(report.seconds)}, {speed:,.0f} rows/s.",
    ]
    if set(report.versions) - {str(report.version)}:
        text = ", ".join(f"{n:,} of version {one}" for one, n in report.versions.items())
        lines += ["", f"Files by version: {text}."]
    if report.left:
        lines += ["", f"Left, because the lake has no input of theirs: {_named(report.left)}."]
    if report.pruned:
        lines += ["", f"Removed, because the lake has no input of theirs: {_named(report.pruned)}."]
    return "\n".join([*lines, "", f"Model `{report.model}`, output `{report.out}`."])


def _named(names: list[str]) -> str:
    return listed([f"`{printable(name)}`" for name in names], _MOST_NAMED)
