"""A holdout that moves with the lake: its newest partitions, judged before they are trained."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from onepass.conditions import parse_conditions
from onepass.job_faults import explained

_TEXT = re.compile(r"\s*(where|last)\s*:(.*)", re.DOTALL)


class RollingHoldout(BaseModel):
    """Files of the lake that are held out while they match; one of the two fields is set.

    Examples
    --------
    >>> str(parse_holdout("last: 3"))
    'last: 3'
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    where: str | None = Field(
        default=None,
        description="Conditions on the key=value folders, such as: date >= today - 7d",
    )
    last: int | None = Field(
        default=None, ge=1, description="Number of last files, by path in natural order."
    )

    @field_validator("where")
    @classmethod
    def _conditions_can_be_read(cls, value: str | None) -> str | None:
        if value is not None:
            parse_conditions(value)
        return value

    @model_validator(mode="after")
    def _one_field_is_set(self) -> RollingHoldout:
        if (self.where is None) == (self.last is None):
            raise ValueError("expected either 'where' or 'last'")
        return self

    @model_serializer(mode="wrap")
    def _without_missing(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = handler(self)
        return {name: value for name, value in fields.items() if value is not None}

    def __str__(self) -> str:
        return f"last: {self.last}" if self.where is None else f"where: {self.where}"


def is_rolling(value: Any) -> bool:
    """Return whether a value is the text of a rolling holdout, and not a path."""
    return isinstance(value, str) and _TEXT.fullmatch(value) is not None


def parse_holdout(value: Any) -> Any:
    """Return a rolling holdout from its mapping or its text; any other value as it is.

    Parameters
    ----------
    value
        ``{"where": "date >= today - 7d"}``, ``{"last": 3}``, or the same as text, as a flag has it:
        ``where: date >= today - 7d``, ``last: 3``.

    Raises
    ------
    ValueError
        If a mapping or a text of this form cannot be used.
    """
    found = _TEXT.fullmatch(value) if isinstance(value, str) else None
    if found is not None:
        value = {found[1]: found[2].strip()}
    if not isinstance(value, Mapping):
        return value
    try:
        return RollingHoldout.model_validate(dict(value))
    except ValidationError as error:
        fault = error.errors()[0]
        name = ".".join(str(part) for part in fault["loc"])
        if fault["type"] == "extra_forbidden":
            raise ValueError(f"expected either 'where' or 'last', found {name!r}") from None
        raise ValueError(explained(error).removeprefix("job: ")) from None
