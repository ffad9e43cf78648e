"""`onepass serve`: run a train job on a schedule, in one long-lived process."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import click
from prefect.client.schemas.schedules import CronSchedule
from prefect.schedules import Cron, Interval, Schedule
from prefect.settings import PREFECT_API_URL

from onepass.jobfile import read_job_file
from prefect_onepass.credentials import credentials_option
from prefect_onepass.form import filled
from prefect_onepass.train import train


@click.command("serve")
@click.argument("config", metavar="JOB.YAML")
@click.option("--cron", help="Cron schedule, such as '0 3 * * *'.")
@click.option("--interval", type=click.IntRange(min=1), help="Seconds between runs.")
@click.option("--name", help="Name of the deployment; that of the job file by default.")
@credentials_option
@click.option("--timezone", help="Time zone of the cron schedule; UTC by default.")
def command(
    config: str,
    cron: str | None,
    interval: int | None,
    name: str | None,
    timezone: str | None,
    credentials: str | None,
) -> None:
    """Train the job in JOB.YAML on a schedule until this process is stopped.

    The command needs a Prefect server (prefect server start; PREFECT_API_URL). A run that is due
    during another one ends at once, and the next run trains its files.
    """
    if (cron is None) == (interval is None):
        raise click.UsageError("give either --cron or --interval")
    schedule = _schedule(cron, interval, timezone)
    if PREFECT_API_URL.value() is None:
        raise click.UsageError(
            "a schedule needs a Prefect server: run 'prefect server start' and set "
            "PREFECT_API_URL, for instance to http://127.0.0.1:4200/api"
        )
    job = filled(read_job_file(config))
    train.serve(
        name=name or Path(config).stem,
        # No limit of Prefect: the place of a run that died would stay taken. The lock of the model
        # keeps runs apart, and ends with its holder.
        parameters={
            "job": job.model_dump(mode="json", include=set(job.given())),
            "credentials": credentials,
        },
        # A supervisor may restart the service, which must then find its schedule unchanged.
        pause_on_shutdown=False,
        schedule=schedule,
    )


def _schedule(cron: str | None, interval: int | None, timezone: str | None) -> Schedule:
    if cron is None:
        return Interval(timedelta(seconds=interval or 1))
    try:
        schedule = Cron(cron, timezone=timezone)
        CronSchedule(cron=cron, timezone=timezone)
    except ValueError:
        raise click.UsageError(
            f"expected a cron schedule such as '0 3 * * *' and a known time zone, found {cron!r}"
            + (f" and {timezone!r}" if timezone else "")
        ) from None
    return schedule
