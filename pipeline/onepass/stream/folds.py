"""The fold of a row in cross-validation, by its place in its file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from onepass.block import IntArray
from onepass.encode.encoder import Encoded
from onepass.encode.schema import Schema
from onepass.lake.order import random_numbers
from onepass.lake.rotation import Step


def with_folds(
    encoded: Encoded, steps: Sequence[Step], places: Sequence[IntArray | None], schema: Schema
) -> Encoded:
    """Give the rows of a block their folds, if the model has any and no column decides.

    Only the place of a row in its file decides, so it has one fold in every epoch and every order.

    Parameters
    ----------
    places
        Places of the rows of each step that are left; None for all.
    """
    if not schema.folds or schema.fold_by:
        return encoded
    folds = [_folds(step, schema.folds) for step in steps]
    left = [rows if at is None else rows[at] for rows, at in zip(folds, places, strict=True)]
    fold = np.concatenate(left)[encoded.rows]
    return replace(encoded, block=replace(encoded.block, fold=fold))


def _folds(step: Step, n_folds: int) -> IntArray:
    places = step.unit.ranges(step.source.footer.row_group_rows())
    numbers = [
        random_numbers(rows, first, "fold", step.source.file.key, group)
        for group, first, rows in places
    ]
    return np.asarray(np.concatenate(numbers) % np.uint64(n_folds), np.int64)
