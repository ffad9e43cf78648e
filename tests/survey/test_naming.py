"""Advice names columns such that it can be copied into a shell, a job file or Python."""

from __future__ import annotations

import shlex

import pytest
import yaml

from onepass.job_fields import parse_job
from onepass.jobfile import read_job_file
from onepass.survey.naming import naming
from onepass.wording import speaking, spoken

LEAST = {"lake": "/lake", "label": "y", "model": "/model"}
NAMES = ["x", "two words", "it's", "$HOME", "Größe", "a;b", "-x", "x.", "x_", "no", "0", "(a)"]


@pytest.mark.parametrize("name", NAMES)
def test_flag_with_a_name_reads_that_name(name):
    flag, value = shlex.split(naming("exclude", name))
    assert flag == "--exclude"
    assert parse_job(LEAST | {"exclude": value}).exclude == [name]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("sentence", ["{}", "Repair it, or {}.", "it ({} to drop it)", "{}; x"])
def test_field_with_a_name_is_a_line_of_a_job_file_in_any_sentence(name, sentence):
    before, after = sentence.split("{}")
    with speaking("fields"):
        message = spoken(sentence.format(naming("exclude", name)))
    assert message.startswith(before)
    assert message.endswith(after)
    line = message[len(before) : len(message) - len(after)]
    assert yaml.safe_load(line) == {"exclude": [name]}


@pytest.mark.parametrize("name", ["X ", " x", "a,b", 'say "x" ', "\tx", ""])
@pytest.mark.parametrize("words", ["flags", "fields"])
def test_name_that_no_flag_can_carry_is_written_for_a_job_file(tmp_path, name, words):
    with speaking(words):
        line = naming("exclude", name)
    assert line.endswith(" in --config") == (words == "flags")
    line = line.removesuffix(" in --config")
    assert yaml.safe_load(line) == {"exclude": [name]}
    (tmp_path / "job.yaml").write_text(line)
    assert parse_job(LEAST | read_job_file(tmp_path / "job.yaml")).exclude == [name]


def test_several_names_are_one_value():
    assert shlex.split(naming("classes", "not so", "yes")) == ["--classes", "not so,yes"]
    with speaking("fields"):
        assert yaml.safe_load(naming("classes", "not so", "yes")) == {"classes": ["not so", "yes"]}
