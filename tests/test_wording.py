"""Messages have the words of whoever asked: flags for a command, fields for Python and flows."""

from __future__ import annotations

import pickle
import re

import pytest

from lakes import ROOT
from onepass.errors import BadColumn, BadPartition, JobError
from onepass.job import Job
from onepass.wording import in_fields, speaking, spoken


@pytest.fixture(autouse=True)
def as_python():
    """The words of Python and flows."""
    with speaking("fields"):
        yield


MESSAGES = {
    "go on without it: --on-bad skip.": "go on without it: on_bad: skip.",
    "choose --on-changed skip or retrain.": "choose on_changed: skip or retrain.",
    "y: --loss logistic --classes 0,1 to train": 'y: loss: logistic, classes: ["0", "1"] to train',
    "--loss softmax if they are classes, --loss poisson if counts": (
        "loss: softmax if they are classes, loss: poisson if counts"
    ),
    "leave --loss out": "leave 'loss' out",
    "--classes names a class twice": "'classes' names a class twice",
    "with --classes that names them all, or --on-bad skip.": (
        "with 'classes' that names them all, or on_bad: skip."
    ),
    "a smaller --learning-rate, or --solver newton": "a smaller 'learning_rate', or solver: newton",
    "--interleave 16 learns from it": "interleave: 16 learns from it",
    "--memory-limit 95.4MiB is too low": "memory_limit: 95.4MiB is too low",
    "--implicit, --averaging cannot be used": "'implicit', 'averaging' cannot be used",
    "--categorical names 'x', but": "'categorical' names 'x', but",
    "give --label or set it in --config": "give 'label'",
    "--label: expected a column": "label: expected a column",
    "--passes must be at least 1": "'n_passes' must be at least 1",
    "--out '/x' lies in the lake": "out: '/x' lies in the lake",
    "see: onepass inspect LAKE --label COLUMN": "see: onepass inspect LAKE --label COLUMN",
    "unexpected error (--debug shows where)": "unexpected error (--debug shows where)",
    "a -- b --- c -x": "a -- b --- c -x",
    "a file pre--loss": "a file pre--loss",
}


@pytest.mark.parametrize("message", MESSAGES)
def test_flags_are_fields_for_python_and_stay_flags_for_a_command(message):
    assert spoken(message) == in_fields(message) == MESSAGES[message]
    assert spoken(MESSAGES[message]) == MESSAGES[message]
    with speaking("flags"):
        assert spoken(message) == message
    assert spoken(message) == MESSAGES[message]


def test_every_field_of_a_job_is_known():
    for name in Job.model_fields:
        assert in_fields(f"--{name.replace('_', '-')}") == repr(name)
    assert in_fields("--no-implicit") == "'implicit'"


def test_errors_have_the_words_of_whoever_reads_them_also_behind_a_pickle():
    bad = BadPartition("it is torn", path="a.parquet")
    column = BadColumn("is null", "y", "Drop such rows with --on-null-label drop.")
    for error in (bad, pickle.loads(pickle.dumps(bad))):
        assert str(error).endswith("go on without it: on_bad: skip.")
        with speaking("flags"):
            assert str(error).endswith("go on without it: --on-bad skip.")
    assert str(column).endswith("with on_null_label: drop.")
    assert str(JobError("use --solver newton")) == "use solver: newton"


def test_words_are_fields_again_after_a_command_that_failed():
    with pytest.raises(KeyError), speaking("flags"):
        raise KeyError
    assert spoken("--on-bad skip") == "on_bad: skip"


def test_no_flag_of_a_job_is_left_in_a_message_of_the_library():
    """Whatever stands behind a flag in the source, the flag itself becomes a field."""
    texts = 0
    for folder in ("survey", "encode", "lake", "learn", "training", "model", "stream"):
        for path in (ROOT / "pipeline/onepass" / folder).rglob("*.py"):
            for text in re.findall(r'"([^"\n]*--[a-z][^"\n]*)"', path.read_text()):
                if "onepass " not in text:
                    texts += 1
                    assert "--" not in in_fields(text.replace(" in --config", "")), (path, text)
    assert texts > 30
