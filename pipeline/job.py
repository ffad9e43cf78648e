"""The job: one validated value behind CLI flags, `--config job.yaml` and the Prefect form."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from pipeline.errors import JobError

_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9} | {
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
}

PER_RUN = frozenset(
    {"model", "holdout", "memory_limit", "on_bad", "on_changed", "dask", "group_seconds"}
)
"""Fields that say how one run goes; all others define the model and are frozen with it."""


class Job(BaseModel):
    """What to train, from where, how, and where to keep it.

    The first run freezes the job in the model directory; later runs may leave out everything but
    `model`, and a field that contradicts the frozen one is refused.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False
    )

    lake: str | list[str] = Field(
        description="Directory, glob, file or list of files with the Parquet rows to train on."
    )
    label: str = Field(min_length=1, description="Column to predict.")
    model: str = Field(min_length=1, description="Model directory; created by the first run.")
    holdout: str | list[str] | None = Field(
        default=None, description="Another lake to evaluate the model on after training."
    )
    loss: Literal["auto", "squared", "logistic"] = Field(
        default="auto", description="What to minimise; auto reads it off the label."
    )
    solver: Literal["auto", "newton", "sgd"] = Field(
        default="auto", description="The learner; auto is newton where the width allows."
    )
    learning_rate: float | None = Field(
        default=None, gt=0, description="alpha of sgd; unset: 0.1 over the features' squared norm."
    )
    l2: float = Field(default=0.0, ge=0, description="L2 penalty per row on standardised features.")
    features: list[str] = Field(
        default_factory=list, description="Use these columns only; empty: all but the label."
    )
    exclude: list[str] = Field(default_factory=list, description="Columns to leave out.")
    numeric: list[str] = Field(
        default_factory=list, description="Columns to read as numbers whatever they look like."
    )
    categorical: list[str] = Field(
        default_factory=list, description="Columns to read as categories whatever they look like."
    )
    weight: str | None = Field(default=None, description="Column with the importance of each row.")
    hash_bits: int | None = Field(
        default=None, ge=1, le=26, description="log2 of the number of hashed weights."
    )
    clip: bool = Field(
        default=True, description="Keep regression predictions within the label range seen."
    )
    on_null_label: Literal["error", "drop"] = Field(
        default="error", description="What to do with rows whose label is null or NaN."
    )
    order: Literal["shuffled", "stored"] = Field(
        default="shuffled", description="Order of partitions, row groups and rows."
    )
    seed: int = Field(default=0, ge=0, description="Seed of the shuffled order and the sample.")
    memory_limit: str = Field(
        default="1GiB", description="Upper bound of resident memory, such as 800MB or 2GiB."
    )
    on_bad: Literal["error", "skip"] = Field(
        default="error", description="What to do with a file that cannot be read as expected."
    )
    on_changed: Literal["error", "skip", "retrain"] = Field(
        default="error", description="What to do with a known file that has other content now."
    )
    dask: str | None = Field(
        default=None, description="Address of a Dask scheduler; unset: threads of this process."
    )
    group_seconds: float = Field(
        default=20.0, gt=0, description="Length of one train task of the Prefect flow, in seconds."
    )

    @field_validator("lake", "holdout", "model", mode="before")
    @classmethod
    def _paths_do_not_depend_on_the_working_directory(cls, value: Any) -> Any:
        # A scheduled run starts elsewhere than the command that created the model.
        if isinstance(value, list):
            return [_absolute(path) for path in value]
        return _absolute(value)

    @field_validator("features", "exclude", "numeric", "categorical", mode="before")
    @classmethod
    def _names_may_be_separated_by_commas(cls, value: Any) -> Any:
        if isinstance(value, str):
            return [name.strip() for name in value.split(",") if name.strip()]
        return value

    @field_validator("memory_limit", mode="before")
    @classmethod
    def _memory_limit_is_a_size(cls, value: Any) -> str:
        text = str(value)
        parse_bytes(text)
        return text

    @model_validator(mode="after")
    def _columns_do_not_contradict(self) -> Job:
        for one, other in (("numeric", "categorical"), ("features", "exclude")):
            both = sorted(set(getattr(self, one)) & set(getattr(self, other)))
            if both:
                raise ValueError(f"columns {both} are named in both {one!r} and {other!r}")
        if self.label in self.features or self.label == self.weight:
            raise ValueError(f"the label {self.label!r} cannot be a feature or the weight as well")
        return self

    @property
    def memory_limit_bytes(self) -> int:
        """`memory_limit` in bytes."""
        return parse_bytes(self.memory_limit)


def parse_bytes(text: str) -> int:
    """Turn a size such as ``"800MB"`` or ``"1.5 GiB"`` into bytes.

    Raises
    ------
    ValueError
        If the text is not a positive number with an optional unit.
    """
    match = re.fullmatch(r"\s*([0-9]{1,18}(?:\.[0-9]*)?|\.[0-9]+)\s*([a-zA-Z]*)\s*", text)
    unit = _UNITS.get(match.group(2).lower()) if match else None
    if match is None or unit is None:
        raise ValueError(f"expected a size such as 800MB or 2GiB, found {text!r}")
    size = int(float(match.group(1)) * unit)
    if size <= 0:
        raise ValueError(f"expected a size above zero, found {text!r}")
    return size


def parse_job(values: Mapping[str, Any]) -> Job:
    """Validate `values` as a job.

    Raises
    ------
    JobError
        Naming each missing, unknown or unusable field in one line.
    """
    try:
        return Job.model_validate(dict(values))
    except ValidationError as error:
        raise JobError(_explain(error)) from None


def read_job_file(path: str | Path) -> dict[str, Any]:
    """Fields of a job from a YAML file.

    Raises
    ------
    JobError
        If the file cannot be read or is not a mapping of job fields.
    """
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise JobError(f"cannot read the job file {str(path)!r}: {_first_line(error)}") from None
    if not isinstance(values, dict):
        raise JobError(f"{str(path)!r} must hold job fields such as 'lake: data', found {values!r}")
    return {str(name).replace("-", "_"): value for name, value in values.items()}


def resume_job(frozen: Job, given: Mapping[str, Any]) -> Job:
    """The frozen job of a model with the per-run fields of `given`.

    Raises
    ------
    JobError
        Showing both sides of each field in which `given` contradicts the frozen job. Fields left
        out or automatic never do; a list of files may grow, since its files are told apart by path.
    """
    asked = parse_job(frozen.model_dump() | dict(given))
    lines = []
    for name in sorted(set(given) - PER_RUN):
        ours, theirs = getattr(frozen, name), getattr(asked, name)
        automatic = theirs is None or theirs == "auto"
        grows = name == "lake" and isinstance(ours, list) and isinstance(theirs, list)
        if not (automatic or grows or ours == theirs):
            lines.append(f"  {name}: the model has {ours!r}, this run asks for {theirs!r}")
    if lines:
        raise JobError(
            f"the model in {asked.model} was created by a different job:\n"
            + "\n".join(lines)
            + "\nLeave these out to go on with the model, or create a new one with another --model."
        )
    automatic_fields = {n: getattr(frozen, n) for n in given if n not in PER_RUN | {"lake"}}
    return asked.model_copy(update=automatic_fields)


def _explain(error: ValidationError) -> str:
    return "; ".join(_explain_one(item) for item in error.errors())


def _explain_one(item: Any) -> str:
    name = ".".join(str(part) for part in item["loc"][:1])
    flag = f"--{name.replace('_', '-')}" if name not in {"", "lake"} else name.upper()
    if item["type"] == "missing":
        return f"the job needs {name!r}: give {flag} or set it in --config"
    if item["type"] == "extra_forbidden":
        return f"{name!r} is not a field of a job; the fields are {', '.join(field_names())}"
    message = item["msg"].removeprefix("Value error, ")
    shows_input = not name or "found" in message
    return f"{name or 'job'}: {message}" + ("" if shows_input else f" (found {item['input']!r})")


def _absolute(path: Any) -> Any:
    # An empty path would become the working directory; it is left to the field's own check.
    return os.path.abspath(path) if isinstance(path, str | os.PathLike) and str(path) else path


def field_names() -> Iterable[str]:
    """Names of all job fields, in the order of their definition."""
    return Job.model_fields


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
