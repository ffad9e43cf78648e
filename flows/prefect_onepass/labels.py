"""The label and the loss in the form of the train flow: of one label, or of several."""

# Prefect builds a form when it loads a flow from its path, where postponed annotations cannot be
# resolved, so annotations are evaluated at once.
from collections.abc import Mapping
from typing import Annotated, Any, get_args

from pydantic import AfterValidator, WithJsonSchema

from onepass.job_labels import parse_labels
from onepass.job_values import LossName
from onepass.text import shown

_NAME = {"type": "string", "minLength": 1}
_LOSS = {"type": "string", "enum": list(get_args(LossName))}


def check_labels(value: Any) -> Any:
    """Return a label, labels with commas between them, or a list of labels.

    Raises
    ------
    ValueError
        If it is none of these, or a list names a label twice.
    """
    if isinstance(value, str) and value:
        # The lake decides whether a text with a comma is one label.
        return value
    return parse_labels(value)


def check_losses(value: Any) -> Any:
    """Return a loss, or losses by label: as a mapping, or as LABEL=LOSS with commas between.

    Raises
    ------
    ValueError
        If it is neither, or names an unknown loss.
    """
    if isinstance(value, Mapping):
        losses = list(value.values())
    elif isinstance(value, str) and "=" in value:
        losses = [part.rpartition("=")[2].strip() for part in value.split(",") if part.strip()]
    else:
        losses = [value]
    if unknown := [one for one in losses if one not in _LOSS["enum"]]:
        raise ValueError(
            "expected a loss, or LABEL=LOSS for each of several labels, found "
            f"{shown(unknown[0])}; the losses are {', '.join(_LOSS['enum'])}"
        )
    return value


Labels = Annotated[
    Any,
    AfterValidator(check_labels),
    WithJsonSchema({"anyOf": [_NAME, {"type": "array", "items": _NAME}]}),
]
"""A column, or several."""

Losses = Annotated[
    Any,
    AfterValidator(check_losses),
    WithJsonSchema(
        {
            "anyOf": [
                _LOSS,
                {"type": "string", "pattern": "="},
                {"type": "object", "additionalProperties": _LOSS},
            ]
        }
    ),
]
"""A loss, or one for each of several labels."""

OF_LABELS: dict[str, tuple[Any, str]] = {
    "label": (
        Labels,
        " Several, such as paid,churned or a list, train a model for each from one reading of the "
        "lake, in a folder of its own below the model directory.",
    ),
    "loss": (
        Losses,
        " Of several labels some may have their own, such as paid=probit,amount=gamma.",
    ),
}
"""Fields that take more than those of `Job`, and what their descriptions say of it."""
