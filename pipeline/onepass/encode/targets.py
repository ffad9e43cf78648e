"""The labels of a block, which are filled part by part; models may share all other numbers."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa

from onepass.arrays import empty
from onepass.block import IntArray
from onepass.encode.columns import column_of
from onepass.encode.schema import Label
from onepass.encode.target import label_target, settle_unknown
from onepass.encode.write.transpose import scatter
from onepass.errors import BadColumn


class Targets:
    """The labels of the rows of a block, for one model.

    Parameters
    ----------
    drops_null
        Whether rows without a label are to be left out of the block; an error otherwise.
    """

    def __init__(self, label: Label, n_rows: int, *, drops_null: bool) -> None:
        self._label, self._drops_null = label, drops_null
        self.values = empty((n_rows,), np.float64)
        """Labels in their own unit, shape (n_rows,); NaN for a row to be left out."""
        self.counts: Counter[str] = Counter()
        """Dropped rows and treated labels by kind."""

    def write(self, batch: pa.RecordBatch, rows: IntArray) -> None:
        """Write the labels of a part to these rows of the block.

        Raises
        ------
        BadColumn
            If labels are missing that may not be, or cannot be used.
        """
        label = self._label
        target = label_target(column_of(batch, label.name), label)
        unknown = settle_unknown(target, label)
        dropped = unknown if label.unknown == "drop" else 0
        missing = int(scatter(target, rows, self.values)) - dropped
        if missing and not self._drops_null:
            raise BadColumn(
                f"{missing} of {len(rows)} labels are null or "
                + ("empty" if label.family == "text" else "NaN"),
                label.name,
                "Repair or remove the file, or go on without it: --on-bad skip. To drop such rows "
                "(they are counted), create a new model with --on-null-label drop."
                + _about_words(label),
            )
        found = {"null_label": missing, "unknown_class": dropped}
        found["learnt_as_other"] = unknown - dropped
        self.counts.update({kind: n for kind, n in found.items() if n})

    def known(self) -> IntArray | None:
        """Return the rows of the block that are kept; None if all are."""
        if self.counts["null_label"] or self.counts["unknown_class"]:
            return np.flatnonzero(np.isfinite(self.values))
        return None


def _about_words(label: Label) -> str:
    is_told = label.family == "text" and label.missing_texts
    return " Words such as 'NA' are missing labels unless --classes names them." if is_told else ""
