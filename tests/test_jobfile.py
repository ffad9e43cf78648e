"""Job files: one is read, or refused in a line that names it."""

from __future__ import annotations

import pytest

from onepass.errors import JobError
from onepass.job_fields import parse_job
from onepass.jobfile import read_job_file


@pytest.mark.parametrize(
    "content", [b"", b"- lake", b"just text", b"a: [", b"a: b: c", b"\0", b"\xff\xfe\xff"]
)
def test_job_file_that_is_none_is_a_job_error_naming_it(tmp_path, content):
    path = tmp_path / "job.yaml"
    path.write_bytes(content)
    with pytest.raises(JobError, match=r"job\.yaml"):
        read_job_file(path)


def test_job_file_that_is_not_there_is_a_job_error(tmp_path):
    for path in (tmp_path / "no.yaml", tmp_path):
        with pytest.raises(JobError, match="cannot read the job file"):
            read_job_file(path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("label: 2026-02-31", "day"),
        ("lake: " + "[" * 100_000, "nested too deeply"),
        ("label: y\nlake: [a", "line 2: expected"),
        ("lake: a\nlabel: y\nlake: b\n", "line 3: 'lake' is there more than once"),
        ("on-bad: skip\non_bad: error\n", "line 2: 'on_bad' is there more than once"),
    ],
    ids=[
        "no day",
        "nested",
        "unclosed",
        "twice",
        "twice as a flag",
    ],
)
def test_job_file_that_is_wrong_or_ambiguous_is_refused_in_a_line(tmp_path, content, says):
    path = tmp_path / "job.yaml"
    path.write_text(content)
    with pytest.raises(JobError, match=says) as caught:
        read_job_file(path)
    assert "job.yaml" in str(caught.value)
    assert len(str(caught.value)) < 1000
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        "- " + "x" * 100_000,
        "label: " + str(["x" * 100] * 1000),
        "? " + "x" * 100_000 + "\n: 1",
        "\n".join(f"field{i}: 1" for i in range(10_000)),
        "learning_rate: " + str([0.1] * 50 + [0.2] * 50_000),
        "half_life: " + "x" * 100_000,
    ],
    ids=["list", "list for a text", "name", "names", "rates", "age"],
)
def test_rejected_values_are_shown_in_part(tmp_path, content):
    path = tmp_path / "job.yaml"
    path.write_text(content)
    with pytest.raises(JobError) as caught:
        parse_job({"lake": "/lake", "label": "y", "model": "/model"} | read_job_file(path))
    assert len(str(caught.value)) < 20_000
