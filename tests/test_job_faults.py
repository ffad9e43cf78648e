"""What is wrong with a field of a job is told in words that a user of job files knows."""

from __future__ import annotations

import re

import pytest

from onepass import Job
from onepass.errors import JobError
from onepass.job_fields import parse_job, resume_job
from onepass.jobfile import read_job_file

FIELDS = {"lake": "/lake", "label": "y", "model": "/model"}

WRONG = [
    *(7, -1, 1.5, float("nan"), True, None, "", "x y"),
    *([], ["a", 3], [{}], [["a"]], {"a": 1}, {1: [2]}, {"a": ["x"]}),
]

OF_PYTHON = re.compile(
    "Input should|should (be|have)|valid|instance of|string|dict|integer|boolean|Rolling|None|True"
    "|False|unable|_type|Error|pydantic"
)


@pytest.mark.parametrize("name", Job.model_fields)
def test_no_message_has_words_of_python(name):
    n_refused = 0
    for value in WRONG:
        try:
            parse_job(FIELDS | {name: value})
        except JobError as error:
            n_refused += 1
            text = str(error)
            assert not OF_PYTHON.search(text.split("found")[0]), text
            assert "\n" not in text
            assert text.count("found") <= 1 or text.count("; ") >= 1, text
    assert n_refused


def test_job_that_contradicts_its_model_shows_both_as_a_job_file_does():
    frozen = parse_job(FIELDS)
    with pytest.raises(JobError, match=r"weight: the model has null, this run asks for 'w'"):
        resume_job(frozen, {"weight": "w"})
    with pytest.raises(JobError, match=r"robust: the model has false, this run asks for true"):
        resume_job(frozen, {"robust": True})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("lake: 7", "lake: expected text or a list, found 7"),
        ("lake: [a, 3]", "lake: expected text, found 3"),
        ("lake:", "lake: expected text or a list, found null"),
        ("label: true", "label: expected text, found true"),
        ("label: ''", "label: expected text that is not empty, found ''"),
        ("exclude: {a: 1}", "exclude: expected a list, found {'a': 1}"),
        ("exclude: [3, 4]", "exclude: expected text, found 3; exclude: expected text, found 4"),
        ("epochs: many", "epochs: expected a whole number, found 'many'"),
        ("epochs: 1.5", "epochs: expected a whole number, found 1.5"),
        ("epochs: 0", "epochs: expected a number of at least 1, found 0"),
        ("l1: [x]", "l1: expected a number, found ['x']"),
        ("l1: .inf", "l1: expected a finite number, found inf"),
        ("robust: maybe", "robust: expected true or false, found 'maybe'"),
        ("order: random", "order: expected 'shuffled' or 'stored', found 'random'"),
        ("holdout: 3", "holdout: expected text, a list or a mapping with 'where' or 'last', found"),
        (
            "class_weight: 7",
            "expected 'balanced' or names with their values, found 7",
        ),
        ("constraint: 7", "constraint: expected names with their values, found 7"),
        ("l1: x\nepochs: y", "epochs: expected a whole number, found 'y'"),
    ],
)
def test_job_file_with_a_wrong_value_is_refused_in_its_own_words(tmp_path, content, message):
    path = tmp_path / "job.yaml"
    path.write_text(content)
    with pytest.raises(JobError) as caught:
        parse_job(FIELDS | read_job_file(path))
    assert message in str(caught.value)
