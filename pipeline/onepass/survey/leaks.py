"""Warn about columns that tell the label: by their values, or by being null."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import numpy as np
import pyarrow as pa

from onepass.block import FloatArray
from onepass.encode.columns import floats, plain
from onepass.encode.schema import family
from onepass.survey.dependence import explained_by_column, explained_out_of_sample
from onepass.survey.naming import naming
from onepass.survey.nested_columns import NESTED
from onepass.survey.profile import ColumnProfile
from onepass.survey.sampled_lists import lengths
from onepass.survey.uses import values_of

LEAK = 0.95
"""Share of the label's variance above which a column that explains it alone is suspicious."""

STRONG = 0.9
"""Share above which a column is suspicious if it leaves much less unexplained than all others."""

_STANDS_OUT = 3.0
"""How many times as much all other columns leave unexplained as a column that stands out."""

_FEWEST = 50
"""Fewest rows with and without a null from which a null may tell the label; for `STRONG`, rows."""

_PURE, _MIXED = 0.99, 0.5
"""Least share of one label where a column is null (or is not), and largest share elsewhere, with
which the nulls tell the label."""


def leak_warnings(
    label: str,
    target: FloatArray,
    sample: pa.Table,
    profiles: list[ColumnProfile],
    *,
    classes: Sequence[str] = (),
) -> list[str]:
    """Warn about columns that alone predict the label almost perfectly.

    Shares are measured on rows that the prediction has not seen, so that a category of many levels
    explains nothing by chance.

    Parameters
    ----------
    target
        Labels of the sample, NaN where null.
    classes
        Texts of the classes, if the labels are their indices.
    """
    stored = {
        profile.name: _scalars(sample.column(profile.use.source_names[0]).combine_chunks())
        for profile in profiles
        if profile.use is not None
    }
    columns = {
        profile.name: values_of(profile.use, stored[profile.name])
        for profile in profiles
        if profile.use is not None
    }
    explained = partial(explained_by_column, target=target, classes=len(classes) > 2)
    shares = {name: explained(values) for name, values in columns.items()}
    # Texts that are read as numbers may tell the label by their levels, too.
    for name in (name for name, values in columns.items() if values.type != stored[name].type):
        shares[name] = max(shares[name], explained(stored[name]))
    n_labels = int(np.count_nonzero(~np.isnan(target)))
    strong = set(_standing_out(shares)) if n_labels >= _FEWEST else set()
    found = []
    for name, values in columns.items():
        leave_out = f"({naming('exclude', name)} to leave it out)"
        if shares[name] > LEAK:
            found.append(
                f"{name}: alone explains {shares[name]:.1%} of {label}; known only after the fact? "
                f"{leave_out}"
            )
        elif told := _told_by_null(values, target, classes):
            found.append(
                f"{name}: whether it is null tells {label} ({told}); known only after the fact? "
                f"{leave_out}"
            )
        elif name in strong:
            found.append(
                f"{name}: alone explains {shares[name]:.1%} of {label}, far more than any other "
                f"column: check that it is known when you predict {leave_out}"
            )
    return found


def _scalars(values: pa.Array) -> pa.Array:
    """Return the values of a column; the number of elements in place of each list or map."""
    return lengths(values) if family(values.type) in NESTED else plain(values)


def _standing_out(shares: Mapping[str, float]) -> Iterator[str]:
    """Yield the strong columns that leave much less unexplained than all others that are not."""
    others = max((share for share in shares.values() if share <= STRONG), default=0.0)
    for name, share in shares.items():
        if share > STRONG and 1 - others >= _STANDS_OUT * (1 - share):
            yield name


def _told_by_null(values: pa.Array, target: FloatArray, classes: Sequence[str]) -> str:
    """Return how the nulls of a column tell the label, in words; empty if they do not."""
    present = ~np.isnan(target)
    null, target = _is_null(values)[present], target[present]
    sides = {"null": null, "not null": ~null}
    if min(np.count_nonzero(side) for side in sides.values()) < _FEWEST:
        return ""
    for words, side in sides.items():
        distinct, rows = np.unique(target[side], return_counts=True)
        usual, share = distinct[rows.argmax()], rows.max() / rows.sum()
        elsewhere = float(np.mean(target[~side] == usual))
        if share >= _PURE and elsewhere <= _MIXED:
            value = classes[int(usual)] if classes else f"{usual:g}"
            return (
                f"{value} in {share:.1%} of the rows where it is {words}, {elsewhere:.1%} of others"
            )
    share = explained_out_of_sample(target, null.astype(np.int64), classes=len(classes) > 2)
    return f"it explains {share:.1%}" if share > LEAK else ""


def _is_null(values: pa.Array) -> np.ndarray:
    null = np.asarray(values.is_null().to_numpy(zero_copy_only=False), dtype=np.bool_)
    if family(values.type) == "real":
        null = null | ~np.isfinite(floats(values))
    return null
