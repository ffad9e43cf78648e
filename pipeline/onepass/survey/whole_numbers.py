"""Decide whether whole numbers are quantities, codes, or numbers of rows.

Floats that are whole count as well: pandas makes floats of integers that meet a null.

- Numbers of rows are left out: by name, or if they count up and tell nothing about the label.
- Columns that are named like ids are categories, and left out if nearly every value is different.
- Floats without a null are measurements unless their levels have effects that jump from value to
  value, as those of codes do.
- Where the label is known, other columns are categories if their levels predict it better than any
  curve through their numbers, and recur from file to file. A column that is named like an id is a
  number only if a line predicts the label far better than the levels.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import TypeAlias

from onepass.block import FloatArray
from onepass.encode.columns import floats
from onepass.encode.schema import Column, family
from onepass.survey.levels_or_line import Evidence, Target, compare, is_smooth
from onepass.survey.naming import naming
from onepass.survey.row_numbers import Rows, counts_up, is_named_row_number, recurs
from onepass.survey.uses import SampledColumn, category, number

_ID_NAME = re.compile(
    r"(^|[_\W])(id|ids|key|code|uuid|guid|zip|zipcode|postcode|sku|number|nr|no)$", re.IGNORECASE
)
_ID_CAMEL = re.compile(r"[a-z](Id|ID|Key|Code|No|Nr)$")

_TELLS = 0.05
"""Share of the label's variance that a line explains, from which a column tells the label."""

Decision: TypeAlias = tuple[Column | None, str, str | None]
"""The use of a column, the reason, and a warning."""


@dataclass(frozen=True, slots=True)
class Clues:
    """Facts about the sampled rows, by which the use of a column is decided."""

    target: Target | None = None
    """The label of each row; None if the job has none."""
    rows: Rows | None = None
    """The place of each row; None if it is not known."""
    mixed: Collection[str] = ()
    """Columns that some files store as text and others as numbers or times."""


def whole_numbers(column: SampledColumn, clues: Clues) -> Decision:
    """Decide the use of a column of whole numbers."""
    numbers = floats(column.values)
    if is_named_row_number(column.name) or _numbers_rows(numbers, clues):
        return _left_out(column, "a number of the row")
    if column.distinct <= 2:
        return number(column), "number", None
    named = bool(_ID_NAME.search(column.name) or _ID_CAMEL.search(column.name))
    if column.nearly_unique:
        if named:
            return _left_out(column, "an id that differs from row to row")
        return number(column), "number", None
    evidence = None if clues.target is None else compare(numbers, clues.target)
    if named:
        return _identifier(column, evidence)
    is_measured = _is_measured(column) and is_smooth(numbers, clues.target)
    if evidence is None or not evidence.for_levels or is_measured:
        return number(column), "number", None
    if recurs(numbers, clues.rows):
        return by_levels(column, evidence)
    return number(column), "number", None


def _numbers_rows(numbers: FloatArray, clues: Clues) -> bool:
    """Whether numbers count up with the rows, and are no time that the label follows."""
    if not counts_up(numbers, clues.rows):
        return False
    evidence = None if clues.target is None else compare(numbers, clues.target)
    return evidence is None or evidence.line < _TELLS


def _is_measured(column: SampledColumn) -> bool:
    """Whether numbers are floats although no null made floats of integers."""
    is_float = family(column.values.type) == "real" and column.texts is None
    return is_float and not column.missing


def _left_out(column: SampledColumn, reason: str) -> Decision:
    advice = f"{naming('numeric', column.name)} to read it as a number"
    return None, reason, f"{column.name}: {reason}, left out ({advice})"


def _identifier(column: SampledColumn, evidence: Evidence | None) -> Decision:
    if evidence is not None and evidence.for_line:
        reason = f"a line predicts the label better than its levels ({_shares(evidence)})"
        advice = f"{naming('categorical', column.name)} to read it as a category"
        text = f"{column.name}: named like an id, but {reason}; read as a number ({advice})"
        return number(column), reason, text
    use, reason = category(column, "an id by its name")
    text = (
        f"{column.name}: {_kind(column)} id, read as a category "
        f"({naming('numeric', column.name)} to read it as a number)"
    )
    return use, reason, text


def by_levels(column: SampledColumn, evidence: Evidence) -> Decision:
    """Return the decision that a column is a category, because its levels predict better."""
    why = f"levels predict the label better than a line ({_shares(evidence)})"
    use, reason = category(column, why)
    advice = f"{naming('numeric', column.name)} to read it as a number"
    return use, reason, f"{column.name}: {why}; read as a category ({advice})"


def _kind(column: SampledColumn) -> str:
    return "an integer" if family(column.values.type) == "integer" else "a whole-number"


def _shares(evidence: Evidence) -> str:
    levels, line = max(evidence.levels, 0.0), max(evidence.line, 0.0)
    first, second = (line, levels) if evidence.for_line else (levels, line)
    return f"r2 {first:.2f} against {second:.2f}"
