"""Job: one validated value, whether it comes from flags, YAML or Python."""

from __future__ import annotations

import json
import re
from itertools import groupby
from types import SimpleNamespace

import click
import pytest
import yaml
from click.testing import CliRunner

from onepass.errors import JobError
from onepass.job import Job, field_groups
from onepass.job_fields import PER_RUN, parse_job, resume_job
from onepass.jobfile import read_job_file
from onepass.terminal.options import given_job, job_options

LEAST = {"lake": "/lake", "label": "y", "model": "/model"}
FULL = LEAST | {
    "lake": ["/lake/a.parquet", "/lake/b.parquet"],
    "holdout": "/holdout",
    "as_files": True,
    "check": "content",
    "where": "country = 'IS' and day >= 2026-01-01",
    "sample": 0.1,
    "lake_version": 7,
    "lake_timestamp": "2026-03-01T00:00:00Z",
    "loss": "squared",
    "quantile": [0.1, 0.9],
    "delta": 1.5,
    "power": [1.3, 1.7],
    "overdispersion": 0.5,
    "class_weight": {"no": 1.0, "yes": 5.0},
    "classes": ["no", "yes"],
    "solver": "sgd",
    "learning_rate": [0.25, 0.5],
    "l2": [1e-3],
    "l1": 0.01,
    "penalty_factor": {"a": 0.5, "PM2.5": 0.0},
    "constraint": {"a": "increasing", "PM2.5": "0..2"},
    "prior": "/models/yesterday",
    "schedule": "linear",
    "averaging": "polynomial",
    "implicit": True,
    "minibatch": 8,
    "half_life": "500000 rows",
    "features": ["a", "PM2.5", "ein ort"],
    "exclude": ["d"],
    "numeric": ["a"],
    "categorical": ["b"],
    "sparse": ["at:value"],
    "bag_counts": ["tags"],
    "timezone": "Europe/Berlin",
    "time_format": {"day": "%d.%m.%Y", "at": "milliseconds"},
    "missing": ["unknown", "-999"],
    "tails": "clip",
    "cross": ["a*ein ort", "b*c*e"],
    "spline": ["a:5", "f:4:linear"],
    "log": ["a", "g"],
    "bins": ["PM2.5:4"],
    "weight": "w",
    "offset": "known",
    "exposure": "years",
    "cluster": "customer",
    "robust": True,
    "folds": 5,
    "fold_by": "customer",
    "hash_bits": 12,
    "clip": False,
    "on_null_label": "drop",
    "unknown_class": "other",
    "on_missing_column": "null",
    "order": "stored",
    "interleave": 4,
    "parallel": 16,
    "epochs": 2,
    "seed": 7,
    "memory_limit": "800MB",
    "on_bad": "skip",
    "on_changed": "retrain",
    "max_loss_increase": 0.25,
    "keep_states": 5,
    "dask": "tcp://host:8786",
    "mixed_workers": True,
    "group_seconds": 1.5,
}

NEWEST = {"lake_version": None, "lake_timestamp": None}
ALONE = {"dask": None, "mixed_workers": False}
"""Fields that are never taken from a model."""


def from_flags(values):
    """The job that a command makes of flags."""
    found = {}

    @click.command()
    @job_options
    def command(lake, config, **flags):
        found.update(given_job(lake, config, flags))

    arguments = []
    for name, value in values.items():
        flag = f"--{name.replace('_', '-')}"
        if name == "lake":
            arguments += value if isinstance(value, list) else [value]
        elif isinstance(value, bool):
            arguments.append(flag if value else flag.replace("--", "--no-", 1))
        elif isinstance(value, dict):
            for column, given in value.items():
                arguments += [flag, f"{column}={given}"]
        else:
            text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
            arguments += [flag, text]
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return parse_job(found)


def test_every_field_is_in_the_full_example():
    assert set(FULL) == set(Job.model_fields)
    assert all(field.description for field in Job.model_fields.values())


@pytest.mark.parametrize("values", [LEAST, FULL], ids=["least", "full"])
def test_flags_yaml_and_python_give_the_same_job(tmp_path, values):
    job = parse_job(values)
    assert job == Job(**values) == from_flags(values)
    underscores, hyphens = tmp_path / "job.yaml", tmp_path / "flags.yaml"
    underscores.write_text(yaml.safe_dump(values))
    hyphens.write_text(yaml.safe_dump({name.replace("_", "-"): v for name, v in values.items()}))
    assert parse_job(read_job_file(underscores)) == parse_job(read_job_file(str(hyphens))) == job
    assert Job.model_validate_json(job.model_dump_json()) == job


def test_paths_are_absolute_because_a_schedule_starts_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    job = parse_job({"lake": "a/../lake", "label": "y", "model": tmp_path / "m", "holdout": ["x"]})
    assert (job.lake, job.model) == (f"{tmp_path}/lake", f"{tmp_path}/m")
    assert job.holdout == [f"{tmp_path}/x"]


@pytest.mark.parametrize("name", LEAST)
def test_missing_field_is_named_with_what_to_give(name):
    values = {key: value for key, value in LEAST.items() if key != name}
    with pytest.raises(JobError, match=f"the job needs '{name}': give (--{name}|LAKE)"):
        parse_job(values)


def test_unknown_field_is_refused_with_those_that_exist():
    with pytest.raises(JobError, match=r"'lables' is not a field .*label, model") as caught:
        parse_job(LEAST | {"lables": "y"})
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        *({"loss": "absolute"}, {"solver": "lbfgs"}, {"order": "random"}, {"on_bad": "ignore"}),
        *({"learning_rate": 0}, {"learning_rate": -1}, {"learning_rate": float("inf")}),
        *({"learning_rate": float("nan")}, {"l2": -1e-9}, {"l2": float("inf")}),
        *({"quantile": 1.2}, {"quantile": 0}, {"quantile": 1}, {"quantile": "much"}),
        *({"delta": 0}, {"delta": -1}, {"l1": -1}, {"l1": "inf"}, {"minibatch": 0}),
        *({"minibatch": 4097}, {"interleave": 0}, {"interleave": 1025}, {"epochs": 0}),
        *({"schedule": "cosine"}, {"averaging": "half"}, {"half_life": "3 days"}, {"classes": 5}),
        *({"hash_bits": 0}, {"hash_bits": 27}, {"seed": -1}, {"seed": 0.5}),
        *({"group_seconds": 0}, {"memory_limit": "much"}, {"memory_limit": "0"}),
        *({"features": 5}, {"label": ""}, {"label": True}, {"model": ""}, {"lake": 5}),
    ],
    ids=str,
)
def test_unusable_value_is_refused_by_name_and_shown(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(JobError, match=name) as caught:
        parse_job(LEAST | wrong)
    assert ("true" if value is True else str(value)) in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("learning_rate", [0.1, 0.0], "expected a number above 0, found 0"),
        ("learning_rate", "0.1,1,0.1", r"each value once, found \[0.1, 1.0, 0.1\]"),
        ("l2", [1, -1], "expected a number of at least 0, found -1"),
        ("l2", "0,0.0", "each value once"),
        ("quantile", "0.1,1.2", "expected a number above 0 and below 1, found 1.2"),
        ("quantile", [0.5, 0.5], "each value once"),
        ("constraint", "a=positive,b", "found 'positive,b'"),
        ("constraint", "a=positive,a=negative", "'a' is named twice"),
    ],
)
def test_each_of_several_numbers_must_be_in_range_and_another_one(field, value, says):
    with pytest.raises(JobError, match=f"^{field}: ") as caught:
        parse_job(LEAST | {field: value})
    assert re.search(says, str(caught.value))


@pytest.mark.parametrize("field", ["l2", "quantile"])
@pytest.mark.parametrize("empty", ["", []])
def test_lists_that_need_a_number_are_not_empty(field, empty):
    with pytest.raises(JobError, match=field):
        parse_job(LEAST | {field: empty})


@pytest.mark.parametrize(
    ("field", "given", "expected"),
    [
        ("learning_rate", 0.5, [0.5]),
        ("learning_rate", "0.1, 1,10", [0.1, 1, 10]),
        ("learning_rate", "1,0.1", [1, 0.1]),
        ("learning_rate", None, []),
        ("learning_rate", "", []),
        ("l2", 0, [0]),
        ("l2", "0,1e-6,1e-3", [0, 1e-6, 1e-3]),
        ("quantile", 0.9, [0.9]),
        ("quantile", "0.9,0.1,0.5", [0.1, 0.5, 0.9]),
        ("classes", "b, a", ["b", "a"]),
        ("classes", ["a,b", "c"], ["a,b", "c"]),
        ("constraint", "a=positive, b=0..2", {"a": "positive", "b": "0..2"}),
        (
            "constraint",
            ["a=..2,b=increasing", "c=negative"],
            {"a": "..2", "b": "increasing", "c": "negative"},
        ),
        ("constraint", "PM2,5=0..2", {"PM2,5": "0..2"}),
        ("penalty_factor", "a=0,b=2", {"a": 0.0, "b": 2.0}),
    ],
)
def test_lists_may_stand_alone_or_between_commas_and_quantiles_are_sorted(field, given, expected):
    assert getattr(parse_job(LEAST | {field: given}), field) == expected


@pytest.mark.parametrize(
    ("text", "rows", "partitions"),
    [
        *(("500000 rows", 5e5, None), ("1234567 row", 1234567, None), ("5e5 rows", 5e5, None)),
        *((" 500_000  rows ", 5e5, None), ("30 partitions", None, 30), ("1.5partition", None, 1.5)),
    ],
)
def test_half_life_is_an_age_in_rows_or_partitions(text, rows, partitions):
    job = parse_job(LEAST | {"half_life": text})
    assert (job.half_life_rows, job.half_life_partitions) == (rows, partitions)
    assert parse_job(job.model_dump()) == job
    assert parse_job(LEAST).half_life_rows is parse_job(LEAST).half_life_partitions is None


@pytest.mark.parametrize(
    "text", ["", "rows", "5", "0 rows", "-1 rows", "5 days", "1e400 rows", "5 rows 3", "rows 5"]
)
def test_other_half_lives_are_refused(text):
    with pytest.raises(JobError, match="half_life: expected an age"):
        parse_job(LEAST | {"half_life": text})


@pytest.mark.parametrize(
    "wrong",
    [
        {"numeric": ["a", "b"], "categorical": ["b"]},
        {"features": ["b"], "exclude": ["a", "b"]},
        {"features": ["a", "y"]},
        {"weight": "y"},
        {"offset": "w", "weight": "w"},
        {"exposure": "a", "features": ["a"]},
        {"cluster": "y"},
        {"fold_by": "y", "folds": 5},
        {"offset": "k", "cross": ["a*k"]},
    ],
    ids=str,
)
def test_contradictions_are_refused(wrong):
    with pytest.raises(JobError, match=r"\['b'\] are named in both|cannot be (a|the|part)"):
        parse_job(LEAST | wrong)


@pytest.mark.parametrize(
    ("text", "nbytes"),
    [
        *(("1", 1), ("800MB", 8 * 10**8), ("2GiB", 2 << 30), ("1.5 gib", 3 << 29)),
        *((" 64 KiB ", 1 << 16), (".5GB", 5 * 10**8), ("10b", 10), ("1kb", 1000)),
    ],
)
def test_sizes_are_read_as_people_write_them(text, nbytes):
    assert parse_job(LEAST | {"memory_limit": text}).memory_limit == nbytes


@pytest.mark.parametrize(
    "text",
    ["", "GB", "-1GB", ".", "1e9", "5 parsecs", "0MB", "0.0001", "inf"],
)
def test_other_sizes_are_refused(text):
    with pytest.raises(JobError, match="memory_limit: "):
        parse_job(LEAST | {"memory_limit": text})


def test_size_may_be_a_number_in_yaml(tmp_path):
    (tmp_path / "job.yaml").write_text("memory-limit: 800000000\n")
    values = read_job_file(tmp_path / "job.yaml")
    assert parse_job(LEAST | values).memory_limit == 800_000_000


def test_word_null_in_yaml_is_the_treatment_of_missing_columns(tmp_path):
    (tmp_path / "job.yaml").write_text("on_missing_column: null\n")
    found = parse_job(LEAST | read_job_file(tmp_path / "job.yaml"))
    assert found.on_missing_column == "null"
    assert resume_job(found, {"on_missing_column": None, "model": "/model"}) == found


OTHER = {
    "lake": "/other",
    "label": "z",
    "as_files": False,
    "where": "x > 1",
    "sample": 0.5,
    "loss": "logistic",
    "quantile": [0.5],
    "delta": 2.5,
    "power": [1.5],
    "overdispersion": 2.0,
    "class_weight": "balanced",
    "classes": ["yes", "no"],
    "solver": "newton",
    "learning_rate": [0.5],
    "l2": [0.1],
    "l1": 0.0,
    "penalty_factor": {"a": 2.0},
    "constraint": {},
    "prior": "/models/other",
    "schedule": "constant",
    "averaging": "none",
    "implicit": False,
    "minibatch": 1,
    "half_life": "30 partitions",
    "features": ["a"],
    "exclude": [],
    "numeric": ["c"],
    "categorical": [],
    "sparse": ["at:other"],
    "bag_counts": ["words"],
    "timezone": "Asia/Tokyo",
    "time_format": {"day": "%m/%d/%Y"},
    "missing": ["-1"],
    "tails": "keep",
    "cross": ["ein ort*a"],
    "spline": ["a:6"],
    "log": [],
    "bins": ["h:10"],
    "weight": "v",
    "offset": "log_years",
    "exposure": "months",
    "cluster": "shop",
    "robust": False,
    "folds": 10,
    "fold_by": "day",
    "hash_bits": 9,
    "clip": True,
    "on_null_label": "error",
    "unknown_class": "drop",
    "on_missing_column": "error",
    "order": "shuffled",
    "interleave": 1,
    "parallel": 8,
    "epochs": 1,
    "seed": 8,
}


def test_every_field_of_the_model_contradicts_when_it_differs():
    frozen = parse_job(FULL)
    assert set(OTHER) | PER_RUN == set(Job.model_fields)
    for name, value in OTHER.items():
        with pytest.raises(JobError) as caught:
            resume_job(frozen, {"model": "/model", name: value})
        first, line, advice = str(caught.value).splitlines()
        assert "/model" in first
        ours = getattr(frozen, name)
        ours, value = (v[0] if isinstance(v, list) and len(v) == 1 else v for v in (ours, value))
        ours, value = (
            json.dumps(v) if v in (None, True, False) else repr(v) for v in (ours, value)
        )
        assert line == f"  {name}: the model has {ours}, this run asks for {value}"
        assert "another --model" in advice


def test_all_differing_fields_are_shown_at_once():
    with pytest.raises(JobError) as caught:
        resume_job(parse_job(FULL), OTHER)
    shown = [line.split(":")[0].strip() for line in str(caught.value).splitlines()[1:-1]]
    assert shown == sorted(OTHER)


def test_same_fields_again_or_left_out_give_the_frozen_job():
    frozen = parse_job(FULL | ALONE | NEWEST)
    for given in ({}, {"model": "/model"}, FULL | ALONE | NEWEST, {"seed": 7, "clip": False}):
        assert resume_job(frozen, given) == frozen


def test_version_of_a_table_is_for_the_run_that_names_it():
    # A model that kept it would find nothing new in the table for ever.
    frozen = parse_job(FULL | ALONE)
    assert resume_job(frozen, {}) == frozen.model_copy(update=NEWEST)
    assert resume_job(frozen, {"lake_version": 9}).lake_version == 9


def test_address_of_a_scheduler_is_not_taken_from_a_model():
    # Who answers there can run code here, and the model may be a stranger's.
    frozen = parse_job(FULL | {"dask": "tcp://stranger:8786"})
    assert resume_job(frozen, {}).dask is None
    assert not resume_job(frozen, {}).mixed_workers
    assert resume_job(frozen, {"dask": "tcp://mine:8786"}).dask == "tcp://mine:8786"


def test_a_cluster_or_client_stands_for_the_address_of_its_scheduler():
    here = SimpleNamespace(address="tcp://here:8786")
    for given in (SimpleNamespace(scheduler_address=here.address), SimpleNamespace(scheduler=here)):
        assert parse_job(FULL | {"dask": given}).dask == "tcp://here:8786"
    with pytest.raises(JobError, match="dask: expected the address of a Dask scheduler"):
        parse_job(FULL | {"dask": SimpleNamespace(scheduler=None)})


def test_automatic_fields_never_contradict_and_stay_as_frozen():
    frozen = parse_job(FULL | ALONE | NEWEST)
    automatic = dict.fromkeys(["loss", "solver", "schedule", "averaging"], "auto")
    automatic |= dict.fromkeys(["learning_rate", "hash_bits", "delta", "implicit", "half_life"])
    automatic |= {"classes": []}
    assert resume_job(frozen, automatic) == frozen


def test_fields_of_a_run_are_taken_from_the_run():
    frozen = parse_job(FULL)
    new = {
        "model": "/moved",
        "holdout": None,
        "lake_version": 8,
        "lake_timestamp": None,
        "memory_limit": "3GiB",
        "on_bad": "error",
        "on_changed": "skip",
        "check": "look",
        "max_loss_increase": 0.05,
        "keep_states": 7,
        "dask": None,
        "mixed_workers": False,
        "group_seconds": 9.0,
    }
    assert set(new) == PER_RUN
    expected = frozen.model_copy(update=new | {"memory_limit": 3 << 30})
    assert resume_job(frozen, new) == expected


def test_list_of_files_may_grow_and_nothing_else_of_the_lake_may_change():
    frozen = parse_job(FULL)
    grown = [*FULL["lake"], "/lake/c.parquet"]
    assert resume_job(frozen, {"lake": grown}).lake == grown
    for ours, theirs in ((FULL["lake"], "/lake"), ("/lake", FULL["lake"]), ("/lake", "/other")):
        with pytest.raises(JobError, match="lake: the model has"):
            resume_job(parse_job(FULL | {"lake": ours}), {"lake": theirs})


def test_unknown_or_unusable_field_is_refused_on_resume_as_well():
    for wrong in ({"lables": "y"}, {"seed": -1}, {"memory_limit": "much"}):
        with pytest.raises(JobError, match=next(iter(wrong))):
            resume_job(parse_job(FULL), wrong)


def test_condition_is_checked_when_the_job_is_read():
    assert parse_job(LEAST | {"where": "  "}).where is None
    assert parse_job(LEAST | {"where": " x > 1 "}).where == "x > 1"
    assert parse_job(LEAST | {"sample": 1}).selection is None
    with pytest.raises(JobError, match=r"where: .*expected a date.*at character 8 of"):
        parse_job(LEAST | {"where": "day >= 2026-02-30"})
    for share in (0, -0.5, 1.5):
        with pytest.raises(JobError, match="sample"):
            parse_job(LEAST | {"sample": share})


def test_each_field_is_in_one_group_and_the_groups_follow_one_another():
    groups = field_groups()
    assert list(groups) == list(Job.model_fields)
    runs = [group for group, _ in groupby(groups.values())]
    assert len(set(runs)) == len(runs)


def test_help_has_a_section_for_each_group(onepass):
    code, out, _ = onepass("train", "--help")
    assert code == 0
    heads = [f"\n{group}:\n" for group in dict.fromkeys(field_groups().values())]
    places = [out.index(head) for head in heads]
    assert places == sorted(places)
    assert out.index("--power") < out.index("Penalties and constraints:") < out.index("--l1")
