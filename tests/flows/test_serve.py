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


def test_schedule_without_a_server_is_a_usage_error(tmp_path):
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from prefect_onepass.serve import command

    job = tmp_path / "job.yaml"
    job.write_text("lake: x\nlabel: y\nmodel: z\n")
    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        result = CliRunner().invoke(command, [str(job), "--cron", "0 3 * * *"])
    assert result.exit_code == 2
    assert "PREFECT_API_URL" in result.output
