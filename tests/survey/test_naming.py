"""Advice names columns such that it can be copied into a shell or a job file."""

from __future__ import annotations

import shlex

import pytest
import yaml

from onepass.job_fields import parse_job
from onepass.jobfile import read_job_file
from onepass.survey.naming import naming

LEAST = {"lake": "/lake", "label": "y", "model": "/model"}


@pytest.mark.parametrize("name", ["x", "two words", "it's", "$HOME", "Größe", "a;b", "-x"])
def test_flag_with_a_name_reads_that_name(name):
    flag, value = shlex.split(naming("exclude", name))
    assert flag == "--exclude"
    assert parse_job(LEAST | {"exclude": value}).exclude == [name]


@pytest.mark.parametrize("name", ["X ", " x", "a,b", 'say "x" ', "\tx", ""])
def test_name_that_no_flag_can_carry_is_written_for_a_job_file(tmp_path, name):
    line = naming("exclude", name).removesuffix(" in --config")
    assert yaml.safe_load(line) == {"exclude": [name]}
    (tmp_path / "job.yaml").write_text(line)
    assert parse_job(LEAST | read_job_file(tmp_path / "job.yaml")).exclude == [name]
