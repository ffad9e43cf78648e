"""Job files: whatever is in one, it is read in bounded time or refused in a line."""

from __future__ import annotations

import time

import pytest

from onepass.errors import JobError
from onepass.job import parse_job
from onepass.jobfile import MAX_JOB_BYTES, read_job_file


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


def bomb(levels: int) -> str:
    """A list of lists of lists that are all the same."""
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    for name, before in zip("bcdefghi"[:levels], "abcdefgh", strict=False):
        lines.append(f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]")
    return "\n".join([*lines, f"lake: *{'abcdefghi'[levels]}", ""])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (bomb(7), r"line 2: expected plain values, found the alias \*a"),
        ("lake: " + "[" * 100_000, "nested too deeply"),
        ("#" * MAX_JOB_BYTES + "\n", "expected at most 1,048,576 bytes"),
        ("epochs: " + "9" * 10_000, "digits"),
        ("epochs: 1" + ":59" * 300_000, "line 1: expected numbers of at most 100 digits"),
        ("epochs: 0x" + "f" * 10_000, "line 1: expected numbers of at most 100 digits"),
        ("label: 2026-02-31", "day"),
        ("lake: a\nlabel: y\nlake: b\n", "line 3: 'lake' is there more than once"),
        ("on-bad: skip\non_bad: error\n", "line 2: 'on_bad' is there more than once"),
    ],
    ids=[
        "aliases",
        "nested",
        "large",
        "digits",
        "base 60",
        "base 16",
        "no day",
        "twice",
        "twice as a flag",
    ],
)
def test_job_file_that_is_out_of_bounds_or_ambiguous_is_refused_in_a_line(tmp_path, content, says):
    path = tmp_path / "job.yaml"
    path.write_text(content)
    began = time.process_time()
    with pytest.raises(JobError, match=says) as caught:
        read_job_file(path)
    assert "job.yaml" in str(caught.value)
    assert len(str(caught.value)) < 1000
    assert "\n" not in str(caught.value)
    assert time.process_time() - began < 10


def test_endless_job_file_is_not_read_to_its_end():
    with pytest.raises(JobError, match="expected at most 1,048,576 bytes"):
        read_job_file("/dev/zero")


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
