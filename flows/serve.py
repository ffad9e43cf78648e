"""`onepass serve`: keep a train job on a schedule from one long-lived process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy

from flows.train import complete_job, train
from pipeline.job import read_job_file


@click.command("serve")
@click.argument("config", metavar="JOB.YAML")
@click.option("--cron", help="Cron schedule, such as '0 3 * * *'.")
@click.option("--interval", type=click.IntRange(min=1), help="Seconds between runs.")
@click.option("--name", help="Name of the deployment; that of the job file by default.")
@click.option("--timezone", help="Time zone of the cron schedule; UTC by default.")
def command(
    config: str, cron: str | None, interval: int | None, name: str | None, timezone: str | None
) -> None:
    """Train the job in JOB.YAML on a schedule until this process is stopped.

    Needs a Prefect server that it can reach (prefect server start; PREFECT_API_URL). Runs never
    overlap: a run that is due while one goes on is cancelled, and the next one trains its files.
    """
    if (cron is None) == (interval is None):
        raise click.UsageError("give either --cron or --interval")
    job = complete_job(read_job_file(config))
    train.serve(
        name=name or Path(config).stem,
        parameters={"job": job.model_dump(mode="json", include=job.model_fields_set)},
        global_limit=ConcurrencyLimitConfig(
            limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW
        ),
        # Restarted by its supervisor, the service must find its schedule as it was.
        pause_on_shutdown=False,
        **_schedule(cron, interval, timezone),
    )


def _schedule(cron: str | None, interval: int | None, timezone: str | None) -> dict[str, Any]:
    if cron is None:
        return {"interval": interval}
    if timezone is None:
        return {"cron": cron}
    from prefect.schedules import Cron

    return {"schedule": Cron(cron, timezone=timezone)}
