"""Crosses and shapes are written once, in flags, fields or a list, and mean the same."""

from __future__ import annotations

import pytest

from onepass.errors import JobError
from onepass.job_fields import parse_job, resume_job
from onepass.jobfile import read_job_file

JOB = {"lake": "/lake", "label": "y", "model": "/m"}


def test_values_have_one_form():
    job = parse_job(
        JOB
        | {
            "cross": " a * b,c*d*e",
            "spline": "age,len:4:linear,a:b:7,x:5:cubic,z:linear",
            "bins": ["size", "n:3"],
            "log": "amount",
        }
    )
    assert job.cross == ["a*b", "c*d*e"]
    assert job.crosses == [("a", "b"), ("c", "d", "e")]
    assert job.spline == ["age:6", "len:4:linear", "a:b:7", "x:5", "z:6:linear"]
    assert [curve.column for curve in job.curves] == ["age", "len", "a:b", "x", "z"]
    assert job.bins == ["size:10", "n:3"]
    assert job.log == ["amount"]
    assert parse_job(job.model_dump()) == job


def test_list_of_transforms_is_the_four_fields(tmp_path):
    path = tmp_path / "job.yaml"
    path.write_text(
        "lake: /lake\nlabel: y\nmodel: /m\nspline: [t]\ntransforms:\n- cross site*device\n"
        "- spline: age:6\n- log amount\n- bins  n:3\n- cross a*b\n"
    )
    fields = {
        "cross": ["site*device", "a*b"],
        "spline": ["t", "age:6"],
        "log": ["amount"],
        "bins": ["n:3"],
    }
    assert read_job_file(path) == JOB | fields
    listed = {"transforms": ["cross site*device", "cross a*b", "log amount"]}
    job = parse_job(JOB | fields)
    assert resume_job(job, {"model": "/m"} | listed) == job
    with pytest.raises(JobError, match=r"cross: the model has \['site\*device', 'a\*b'\]"):
        resume_job(job, {"transforms": ["cross site*device"]})


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"cross": ["a"]}, r"cross: expected whole names of two or more columns.*found 'a'"),
        ({"cross": ["ctx_*"]}, r"found 'ctx_\*' \(names have no wildcards here\)"),
        ({"cross": ["a*a"]}, r"expected different columns, found 'a\*a'"),
        ({"cross": ["a*b", "b*a"]}, r"expected each cross once, found a\*b and b\*a"),
        ({"cross": ["a*y"]}, "the label 'y' cannot be a part of 'cross'"),
        ({"cross": ["a*w"], "weight": "w"}, "the weight 'w' cannot be a part of 'cross'"),
        ({"spline": ["y:4"]}, "the label 'y' cannot be a part of 'spline'"),
        ({"spline": ["a:2"]}, "expected a column and 3 to 64 knots"),
        ({"spline": [":5"]}, "expected a column and 3 to 64 knots"),
        ({"bins": ["a:1"]}, "expected a column and 2 to 256 bins"),
        ({"spline": ["a:4", "a:5"]}, "'spline' names column 'a' twice"),
        ({"spline": ["a"], "bins": ["a"]}, "column 'a' is named in both 'bins' and 'spline'"),
        ({"log": ["a"], "bins": ["a"]}, "column 'a' is named in both 'bins' and 'log'"),
        ({"spline": ["a"], "categorical": ["a"]}, "named in both 'categorical' and 'spline'"),
        ({"transforms": ["sqrt a"]}, "transforms: expected items such as .*found 'sqrt a'"),
        ({"transforms": [5]}, "transforms: expected items such as .*found 5"),
    ],
)
def test_what_cannot_be_meant_is_refused(fields, words):
    with pytest.raises(JobError, match=words):
        parse_job(JOB | fields)
