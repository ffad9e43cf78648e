"""`onepass serve`: a schedule that cannot work is refused at once."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

pytestmark = pytest.mark.filterwarnings("default")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--cron", "whenever"], "expected a cron schedule"),
        (["--cron", "0 3 * * *", "--timezone", "Mars/North"], "known time zone"),
        ([], "give either --cron or --interval"),
        (["--cron", "0 3 * * *", "--interval", "60"], "give either --cron or --interval"),
    ],
)
def test_unusable_schedule_is_a_usage_error(tmp_path, options, complaint):
    from prefect_onepass.serve import command

    job = tmp_path / "job.yaml"
    job.write_text("lake: x\nlabel: y\nmodel: z\n")
    result = CliRunner().invoke(command, [str(job), *options])
    assert result.exit_code == 2
    assert complaint in result.output


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--cron", "0 3 * * *", "--timezone", "Europe/Berlin"], ("0 3 * * *", "Europe/Berlin")),
        (["--interval", "90"], (90.0, None)),
    ],
    ids=["cron", "interval"],
)
def test_job_is_served_on_the_schedule_that_was_asked_for(tmp_path, monkeypatch, options, expected):
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from prefect_onepass.serve import command
    from prefect_onepass.train import train

    served = []
    monkeypatch.setattr(train, "serve", lambda **given: served.append(given))
    job = tmp_path / "job.yaml"
    job.write_text("lake: x\nlabel: y\nmodel: z\n")
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        result = CliRunner().invoke(command, [str(job), *options])
    assert result.exit_code == 0, result.output
    (given,) = served
    schedule = given["schedule"]
    found = schedule.cron or schedule.interval.total_seconds(), schedule.timezone
    assert found == expected
    assert (given["name"], given["parameters"]["job"]["label"]) == ("job", "y")


def test_schedule_without_a_server_is_a_usage_error(tmp_path):
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from prefect_onepass.serve import command

    job = tmp_path / "job.yaml"
    job.write_text("lake: x\nlabel: y\nmodel: z\n")
    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        result = CliRunner().invoke(command, [str(job), "--cron", "0 3 * * *"])
    assert result.exit_code == 2
    assert "PREFECT_API_URL" in result.output


def test_job_of_several_labels_is_served_as_it_stands_in_the_file(tmp_path, monkeypatch):
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from prefect_onepass.serve import command
    from prefect_onepass.train import train

    served = []
    monkeypatch.setattr(train, "serve", lambda **given: served.append(given))
    job = tmp_path / "job.yaml"
    job.write_text("lake: x\nlabel: [paid, churned]\nloss: {paid: probit}\nmodel: z\n")
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        result = CliRunner().invoke(command, [str(job), "--interval", "90"])
    assert result.exit_code == 0, result.output
    parameters = served[0]["parameters"]["job"]
    assert (parameters["label"], parameters["loss"]) == (["paid", "churned"], {"paid": "probit"})
    assert train.validate_parameters(served[0]["parameters"])["job"].given()["label"] == [
        "paid",
        "churned",
    ]
