"""The form of the train flow: the fields of a job, of which only the model must be given.

The model directory holds the job that created it, so a run of an existing model needs no more than
`model`. The form is made from the fields of `Job`, with their descriptions, choices and bounds. A
field that is left empty is not given: an existing model has its own value, and a new model gets the
default of `Job`. Where `Job` has one label, the form takes several as well, and a loss for each.
"""

# Prefect builds the form when it loads a flow from its path, where postponed annotations cannot be
# resolved, so annotations are evaluated at once.
import os
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Annotated, Any, get_args

from pydantic import (
    BaseModel,
    ByteSize,
    ConfigDict,
    Field,
    ValidationError,
    create_model,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo

from onepass.cloud.url import is_url
from onepass.errors import JobError
from onepass.job import Job
from onepass.job_faults import explained
from onepass.job_fields import field_names
from onepass.job_holdout import is_rolling, parse_holdout
from prefect_onepass.labels import OF_LABELS
from prefect_onepass.paths import LAKE_PATTERN, PATTERN, check_absolute

PATHS = ("lake", "model", "holdout")
"""Fields that are paths or URLs, or lists of them."""


def _readable(schema: dict[str, Any]) -> None:
    """Make a schema that Prefect's form shows well: one input for each field, without "None".

    An empty input is left out by the form, and the API takes null for a field without a default.
    """
    for name, field in schema["properties"].items():
        field.pop("default", None)
        field["title"] = name
        options = [one for one in field.pop("anyOf", []) if one != {"type": "null"}]
        if len(options) == 1:
            field.update(options[0])
        elif options:
            field["anyOf"] = options
        if field.get("type") == "boolean":
            # The form sends no for a switch that nobody has touched; a list may stay empty.
            field.pop("type")
            field["enum"] = [True, False]
        if name in PATHS:
            for option in options or [field]:
                if "$ref" not in option:
                    pattern = PATTERN if name == "model" else LAKE_PATTERN
                    option.get("items", option)["pattern"] = pattern
        if name == "holdout":
            field["anyOf"][0]["pattern"] += r"|^\s*(where|last)\s*:"


class Form(BaseModel):
    """Base of `TrainJob`: what its fields have in common."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        protected_namespaces=(),
        allow_inf_nan=False,
        hide_input_in_errors=True,
        json_schema_extra=_readable,
    )

    model: str = Field(min_length=1)

    @field_validator("holdout", mode="before", check_fields=False)
    @classmethod
    def _holdout_may_be_a_part_of_the_lake(cls, value: Any) -> Any:
        return parse_holdout(value)

    @model_validator(mode="before")
    @classmethod
    def _a_job_is_a_filled_form(cls, value: Any) -> Any:
        return given_fields(value) if isinstance(value, Job) else value

    @field_validator(*PATHS, mode="after", check_fields=False)
    @classmethod
    def _paths_are_absolute(cls, value: Any) -> Any:
        return check_absolute(value)

    def given(self) -> dict[str, Any]:
        """Return the fields that are given, as `open_sessions` takes them."""
        names = [name for name in Job.model_fields if name in self.model_fields_set]
        fields = {name: getattr(self, name) for name in names}
        # An input that was emptied is null. It means something in a few fields only: no holdout.
        return {
            name: value
            for name, value in fields.items()
            if value is not None or _takes_none(Job.model_fields[name])
        }


def given_fields(job: Job) -> dict[str, Any]:
    """Return the fields of a job that its maker gave."""
    return job.model_dump(include=job.model_fields_set)


def filled(given: Mapping[str, Any]) -> Form:
    """Return the form of fields that a command has; relative paths start in its folder.

    Raises
    ------
    JobError
        If the model is not given, or a field is unknown or unusable.
    """
    paths = {name: _absolute(given[name]) for name in PATHS if given.get(name)}
    try:
        return TrainJob.model_validate({**given, **paths})
    except ValidationError as error:
        raise JobError(explained(error, field_names())) from None


def _absolute(value: Any) -> Any:
    if isinstance(value, list):
        return [_absolute(one) for one in value]
    is_path = isinstance(value, str | os.PathLike) and not (is_url(value) or is_rolling(value))
    return os.path.abspath(value) if is_path else value


def _takes_none(field: FieldInfo) -> bool:
    return type(None) in get_args(field.annotation)


def _described(field: FieldInfo, more: str = "") -> str:
    text, default = f"{field.description}{more}", field.get_default(call_default_factory=True)
    if field.is_required() or default is None or default in ([], {}):
        return text
    return f"{text} Default: {_word(default)}."


def _word(value: Any) -> str:
    """Return a default as a user would write it in a job file."""
    match value:
        case list():
            return ", ".join(map(_word, value))
        case bool():
            return str(value).lower()
        case ByteSize():
            return value.human_readable().replace(".0", "")
        case float():
            return f"{value:g}"
        case _:
            return str(value)


def _optional(name: str, field: FieldInfo) -> Any:
    kind, more = OF_LABELS.get(name, (field.annotation, ""))
    if field.metadata and name not in OF_LABELS:
        kind = Annotated[(kind, *field.metadata)]
    return kind | None, Field(default=None, description=_described(field, more))


def _validators() -> dict[str, Callable[..., Any]]:
    """Return the validators of a job, without those of paths and of a single label."""
    return {
        name: field_validator(*one.info.fields, mode=one.info.mode)(_unless_empty(one.func))
        for name, one in Job.__pydantic_decorators__.field_validators.items()
        if not set(one.info.fields) & {*PATHS, *OF_LABELS}
    }


def _unless_empty(validator: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(validator)
    def validated(value: Any, *info: Any) -> Any:
        return None if value is None else validator(value, *info)

    return validated


def _fields() -> dict[str, Any]:
    own = Job.model_fields["model"]
    model = (str, Field(min_length=1, description=own.description))
    rest = {name: _optional(name, one) for name, one in Job.model_fields.items() if name != "model"}
    return {"model": model, **rest}


TrainJob = create_model(
    "TrainJob",
    __base__=Form,
    __doc__="The model to train. All other fields may be left out for a model that exists; to "
    "create one, give lake and label.",
    __module__=__name__,
    __validators__=_validators(),
    **_fields(),
)
"""The parameter `job` of the train flow."""
