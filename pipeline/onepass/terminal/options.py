"""Options of commands: one for each field of a job, and those that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar, get_args, get_origin

import click
from pydantic import ByteSize
from pydantic.fields import FieldInfo

from onepass.job import Job, field_groups
from onepass.jobfile import read_job_file

_Command = TypeVar("_Command", bound=Callable[..., Any])

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object as the last line of stdout."
)
model_option = click.option("--model", required=True, metavar="DIR", help="Model directory.")
version_option = click.option(
    "--version",
    metavar="VERSION|TAG|newest",
    help="Version of the model; unset: the one that the tag current names.",
)
dask_option = click.option("--dask", metavar="ADDRESS", help="Address of a Dask scheduler.")
mixed_workers_option = click.option(
    "--mixed-workers", is_flag=True, help=Job.model_fields["mixed_workers"].description
)


def table_options(command: _Command) -> _Command:
    """Give a command the options that choose the version of a table."""
    for name in ("as_files", "lake_timestamp", "lake_version"):
        command = _option(name, Job.model_fields[name])(command)
    return command


class _List(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """Converts names or numbers that are separated by commas."""

    def __init__(self, name: str) -> None:
        self.name = name

    def convert(self, value: Any, param: Any, ctx: Any) -> list[str]:
        return value if isinstance(value, list) else names(value)


def names(text: str | None) -> list[str]:
    """Return the names in a text, which commas separate; blanks around a name are removed."""
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def job_options(command: _Command) -> _Command:
    """Give a command LAKE, ``--config`` and an option for each field of a job."""
    return some_job_options(*(name for name in Job.model_fields if name != "lake"))(command)


def some_job_options(*fields: str) -> Callable[[_Command], _Command]:
    """Give a command LAKE, ``--config`` and an option for some fields of a job."""

    def decorated(command: _Command) -> _Command:
        for name in reversed(fields):
            command = _option(name, Job.model_fields[name])(command)
        command = click.option(
            "--config", metavar="FILE", help="YAML file with the job; flags override it."
        )(command)
        return click.argument("lake", nargs=-1, metavar="[LAKE]...")(command)

    return decorated


def given_job(lake: tuple[str, ...], config: str | None, flags: dict[str, Any]) -> dict[str, Any]:
    """Return the job fields that the user gave; a flag wins over the job file."""
    given = read_job_file(config) if config else {}
    given |= {name: value for name, value in flags.items() if value is not None}
    return given | ({"lake": as_lake(lake)} if lake else {})


def as_lake(lake: tuple[str, ...]) -> str | list[str]:
    """Return the LAKE argument as a job takes it: one path, or a list of files."""
    return lake[0] if len(lake) == 1 else list(lake)


class _FieldOption(click.Option):
    """Option of a field of the job."""

    @property
    def group(self) -> str:
        """Group of fields, for help."""
        return field_groups()[str(self.name)]


class JobCommand(click.Command):
    """Command whose help has a section for each group of fields of a job."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options by group, those of no field last."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None:
                group = param.group if isinstance(param, _FieldOption) else "Options"
                sections.setdefault(group, []).append(record)
        last = sections.pop("Options", [])
        for group, records in (*sections.items(), ("Options", last)):
            with formatter.section(group):
                formatter.write_dl(records)


def _option(name: str, field: FieldInfo) -> Callable[[_Command], _Command]:
    flag = f"--{name.replace('_', '-')}"
    kind = _kind(field.annotation)
    if kind is bool:
        flag = f"{flag}/--no-{name.replace('_', '-')}"
    kinds = [field.annotation, *get_args(field.annotation)]
    if any(get_origin(one) is dict for one in kinds):
        words = [word for one in kinds if get_origin(one) is Literal for word in get_args(one)]
        # Without the option the callback turns an empty tuple into None, as for other options.
        return click.option(
            flag,
            name,
            cls=_FieldOption,
            multiple=True,
            metavar="|".join([*words, "NAME=VALUE" if words else "COLUMN=VALUE"]),
            callback=lambda _ctx, _param, value: list(value) or None,
            help=field.description,
        )
    kind = _LossOfLabels(kind.choices) if name == "loss" else kind
    return click.option(
        flag, name, cls=_FieldOption, type=kind, default=None, help=field.description
    )


class _LossOfLabels(click.Choice):  # type: ignore[type-arg,unused-ignore]
    """Takes a loss, or a loss for each of several labels, which the job parses."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        return value if "=" in str(value) else super().convert(value, param, ctx)


def _kind(annotation: Any) -> Any:
    options = [option for option in get_args(annotation) if option is not type(None)]
    if get_origin(annotation) is Literal:
        return click.Choice(list(get_args(annotation)))
    if get_origin(annotation) is list:
        return _List("numbers" if float in get_args(annotation) else "names")
    if any(get_origin(option) is Literal for option in options):
        # A word or a number: the job parses it.
        return str
    if options:
        return _kind(options[0])
    # The job parses a size such as 2GiB itself.
    return str if annotation is ByteSize else annotation
