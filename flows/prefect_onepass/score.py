"""The score flow: write predictions for a lake as Parquet."""

# Prefect loads a served flow from its path and cannot resolve postponed annotations there
# ("TrainModel is not fully defined"), so annotations are evaluated at once.
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from onepass.actions.score import ScoreReport
from onepass.actions.score import score as score_lake
from onepass.model.directory import open_model
from prefect_onepass.artifacts import artifact_key
from prefect_onepass.credentials import lent


@task(name="score", cache_policy=NO_CACHE)
def score_files(
    lake: str | list[str], model: str, out: str, keep: list[str], dask: str | None
) -> ScoreReport:
    """Write the prediction files that are missing or outdated."""
    return score_lake(lake, model, out, keep=keep, dask=dask)


@flow(name="score")
def score(
    lake: str | list[str],
    model: str,
    out: str,
    keep: list[str] | None = None,
    dask: str | None = None,
    credentials: str | None = None,
) -> dict[str, Any]:
    """Write a prediction for every row of a lake.

    Args:
        lake: Directory, glob, file or list of files with the model's feature columns.
        model: Model directory.
        out: Output directory; files have the names they have in the lake.
        keep: Columns of the lake to copy beside the predictions, such as an id.
        dask: Address of a Dask scheduler; unset: threads of this process.
        credentials: Prefect block for object stores, such as aws-credentials/lakes.

    Returns:
        The report: rows, files written, files that were there already.
    """
    with lent(credentials):
        report = score_files(lake, model, out, keep or [], dask)
        model_id = open_model(model).file.id
    text = (
        f"{report.rows:,} rows scored with version {report.version} of `{model}`: "
        f"{report.partitions} files written, {report.unchanged} were there already, in `{out}`."
    )
    create_markdown_artifact(text, key=artifact_key("score", model, model_id))
    get_run_logger().info(text)
    return report.model_dump()
