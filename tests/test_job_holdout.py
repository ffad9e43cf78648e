"""The holdout of a job: another lake, or a part of its own; flag, file and form agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from onepass.errors import JobError
from onepass.job import Job
from onepass.job_fields import parse_job, resume_job
from onepass.job_holdout import RollingHoldout

FIELDS = {"lake": "/l", "label": "y", "model": "/m"}


def holdout(value: Any) -> Any:
    return parse_job({**FIELDS, "holdout": value}).holdout


@pytest.mark.parametrize(
    ("text", "mapping"),
    [
        ("where: date >= today - 7d", '{where: "date >= today - 7d"}'),
        (" where:year = 2026, month > 9", "{where: 'year = 2026, month > 9'}"),
        ("last: 3", "{last: 3}"),
        ("last:3", "{last: 3}"),
    ],
)
def test_text_and_mapping_are_the_same(text, mapping):
    assert holdout(text) == holdout(yaml.safe_load(mapping))
    assert isinstance(holdout(text), RollingHoldout)
    assert holdout(str(holdout(text))) == holdout(text)


def test_paths_are_paths_as_ever(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert holdout("last") == str(tmp_path / "last")
    assert holdout(["a", "/b"]) == [str(tmp_path / "a"), "/b"]
    assert holdout(None) is None
    assert holdout("s3://where/last") == "s3://where/last"


def test_job_is_written_and_read_again():
    job = Job(**FIELDS, holdout="last: 3")
    assert '"holdout":{"last":3}' in job.model_dump_json()
    assert Job.model_validate_json(job.model_dump_json()) == job
    assert '"holdout":null' in Job(**FIELDS).model_dump_json()


def test_a_later_run_may_change_it():
    frozen = Job(**FIELDS, holdout="last: 3")
    assert resume_job(frozen, {}).holdout == RollingHoldout(last=3)
    assert resume_job(frozen, {"holdout": "last: 4"}).holdout == RollingHoldout(last=4)
    assert resume_job(frozen, {"holdout": "/other"}).holdout == "/other"
    assert resume_job(frozen, {"holdout": None}).holdout is None


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("where: date > monday", "holdout: where: expected a number, a date, .* at character 8"),
        ({"where": "date"}, "holdout: where: expected one of = != < <= > >= at character 5"),
        ("last: 0", "holdout: last: expected a number of at least 1, found '0'"),
        ("last: many", "holdout: last: expected a whole number, found 'many'"),
        ({"where": "a = 1", "last": 3}, "holdout: expected either 'where' or 'last'"),
        ({}, "holdout: expected either 'where' or 'last'"),
        ({"lst": 3}, "holdout: expected either 'where' or 'last', found 'lst'"),
    ],
)
def test_a_wrong_one_is_told_in_one_line(value, message):
    with pytest.raises(JobError, match=message) as error:
        holdout(value)
    assert "\n" not in str(error.value)


def test_flag_and_file_take_it(tmp_path):
    from onepass.terminal.options import given_job

    path = Path(tmp_path / "job.yaml")
    path.write_text('holdout: {where: "date >= today - 7d"}\n')
    in_file = given_job((), str(path), {})
    by_flag = given_job((), None, {"holdout": "where: date >= today - 7d"})
    assert holdout(in_file["holdout"]) == holdout(by_flag["holdout"])
