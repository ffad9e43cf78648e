"""The form of the train flow: only the model must be given, and paths must be absolute."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from pydantic import ValidationError

from onepass import Job
from onepass.errors import JobError
from onepass.job_values import LossName

pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module")
def form() -> Any:
    from prefect_onepass.form import TrainJob

    return TrainJob


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    """The parameters of the flow as the API of Prefect and its form see them."""
    from prefect_onepass.train import train

    return train.parameters.model_dump()


@pytest.fixture(scope="module")
def properties(schema) -> dict[str, Any]:
    """Those of the parameter `job`."""
    return schema["definitions"]["TrainJob"]["properties"]


def test_only_the_model_is_required(form, properties):
    assert form(model="/models/clicks").given() == {"model": "/models/clicks"}
    with pytest.raises(ValidationError, match="model"):
        form(lake="/lakes/clicks", label="y")
    assert set(properties) == set(Job.model_fields)


def test_every_field_has_one_input_with_its_description_choices_and_bounds(properties):
    for name, field in Job.model_fields.items():
        shown = properties[name]
        assert shown["description"].startswith(field.description.rstrip(".")[:40])
        assert "default" not in shown
        assert {"type": "null"} not in shown.get("anyOf", [])
        assert not shown["description"].endswith(("Default: .", "Default: {}.", "Default: []."))
    assert properties["solver"]["enum"][:2] == ["auto", "newton"]
    # The form would send no for a switch that nobody has touched.
    assert properties["clip"]["enum"] == [True, False]
    assert "type" not in properties["clip"]
    assert properties["minibatch"]["type"] == "integer"
    assert (properties["minibatch"]["minimum"], properties["minibatch"]["maximum"]) == (1, 4096)
    defaults = {"memory_limit": "1GiB", "clip": "true", "l2": "0", "group_seconds": "20"}
    for name, default in defaults.items():
        assert properties[name]["description"].endswith(f"Default: {default}.")


@pytest.mark.parametrize(
    "fields",
    [
        {"model": "models/clicks"},
        {"model": "/m", "lake": "lakes/clicks"},
        {"model": "/m", "lake": ["/lakes/a.parquet", "b.parquet"]},
        {"model": "/m", "holdout": "./holdout"},
    ],
    ids=["model", "lake", "file", "holdout"],
)
def test_relative_path_is_refused_with_what_to_write(form, fields, schema):
    with pytest.raises(ValidationError, match="expected an absolute path such as /srv/lakes"):
        form(**fields)
    # The API refuses it before there is a run.
    from prefect.utilities.schema_tools import validate

    assert validate({"job": fields}, schema)
    assert not validate({"job": {"model": "s3://bucket/m", "lake": "/lakes"}}, schema)


def test_full_job_fills_the_form_with_what_was_given(form):
    job = Job(lake="/lake", label="y", model="/m", exclude=["a"], holdout=None, l2=[0.1, 1])
    filled = form.model_validate(job)
    assert filled.given() == job.model_dump(include=job.model_fields_set)
    # So do the parameters of a deployment that was made with a full job.
    again = form.model_validate(job.model_dump(mode="json", include=job.model_fields_set))
    assert again.given() == filled.given()


def test_form_takes_values_as_a_job_does(form):
    fields = {"quantile": 0.5, "exclude": "a, b", "half_life": "3 partitions", "parallel": "4"}
    job = Job(lake="/lake", label="y", model="/m", **fields)
    given = form(model="/m", **fields).given()
    assert given == {"model": "/m"} | {name: getattr(job, name) for name in fields}


def test_emptied_input_is_not_given_unless_nothing_is_a_choice(form):
    filled = form(model="/m", solver=None, exclude=None, l2=None, holdout=None)
    # No holdout is a wish; no solver is none.
    assert filled.given() == {"model": "/m", "holdout": None}


@pytest.mark.parametrize(
    "fields",
    [
        {"label": "paid"},
        {"label": "paid,churned", "loss": "paid=probit,churned=hinge"},
        {"label": ["paid", "churned"], "loss": "probit"},
        {"label": ["paid, net", "churned"], "loss": {"churned": "hinge"}},
    ],
    ids=["one", "text", "list", "losses by label"],
)
def test_labels_and_their_losses_are_those_of_the_library(form, schema, fields):
    from prefect.utilities.schema_tools import validate

    filled = form(model="/m", **fields)
    assert filled.given() == {"model": "/m"} | fields
    # As parameters of a deployment they pass the API, and fill the form again.
    parameters = filled.model_dump(mode="json", include=set(filled.given()))
    assert not validate({"job": parameters}, schema)
    assert form.model_validate(parameters) == filled
    assert validate({"job": {"model": "/m", "loss": "cubic"}}, schema)
    assert validate({"job": {"model": "/m", "label": [""]}}, schema)


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"l2": -1}, "l2: expected a number of at least 0"),
        ({"loss": "cubic"}, "loss: expected a loss, or LABEL=LOSS .*, found 'cubic'; the losses"),
        ({"loss": "paid=cubic,sold=hinge"}, "found 'cubic'; the losses are auto, squared"),
        ({"loss": {"paid": 3}}, "found 3; the losses are auto"),
        ({"label": ["paid", "paid"]}, "^label: expected each column once, found 'paid' more than"),
        ({"label": ""}, "^label: expected a column or a list of columns, found ''$"),
        ({"label": []}, r"^label: expected a column or a list of columns, found \[\]$"),
        ({"label": 3}, "^label: expected a column or a list of columns, found 3$"),
        ({"label": ["paid", 3]}, "^label: expected names of columns, found 3$"),
        ({"minibatch": 0}, "minibatch: expected a number of at least 1, found 0"),
        ({"solvr": "sgd"}, "'solvr' is not a field of a job"),
    ],
)
def test_command_says_which_field_is_wrong(fields, fault):
    from prefect_onepass.form import filled

    with pytest.raises(JobError, match=fault):
        filled({"model": "m", **fields})


@pytest.mark.parametrize("loss", ["cubic", "paid=" + "x" * 10_000], ids=["short", "long"])
def test_message_about_an_unknown_loss_names_all_losses(loss):
    from prefect_onepass.form import filled

    with pytest.raises(JobError) as caught:
        filled({"model": "m", "loss": loss})
    names = str(caught.value).partition("; the losses are ")[2].split(", ")
    assert names == list(get_args(LossName))


def test_command_makes_paths_absolute(tmp_path, monkeypatch):
    from prefect_onepass.form import filled

    monkeypatch.chdir(tmp_path)
    given = filled(
        {"model": "m", "lake": ["a.parquet", "/b.parquet"], "holdout": "s3://b/h"}
    ).given()
    assert given["model"] == str(tmp_path / "m")
    assert given["lake"] == [str(tmp_path / "a.parquet"), "/b.parquet"]
    assert given["holdout"] == "s3://b/h"
