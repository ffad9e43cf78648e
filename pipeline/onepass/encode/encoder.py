"""Encode Arrow columns as blocks: the public face of this package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from onepass.arrays import as_batch
from onepass.block import IntArray, Linear
from onepass.encode.draft import Draft, Encoded, Part
from onepass.encode.layout import Layouts
from onepass.encode.schema import Schema

__all__ = ["Draft", "Encoded", "Encoder", "Part"]


@dataclass(frozen=True, slots=True)
class Encoder:
    """Encodes rows by a frozen schema.

    The encoder remembers the places of columns in recent files; this does not change results.

    Parameters
    ----------
    schema
        How each column becomes numbers.
    drop_null_label
        Whether rows without a label are dropped and counted; an error otherwise.
    """

    schema: Schema
    drop_null_label: bool = False
    _layouts: Layouts = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_layouts", Layouts(self.schema))

    def encode(
        self,
        rows: pa.Table,
        hive: Mapping[str, str | None],
        *,
        label: bool = True,
        linear: Linear | None = None,
    ) -> Encoded:
        """Encode rows of one file, in their order.

        Parameters
        ----------
        hive
            Values of the key=value folders that the file lies in.
        label, linear
            See `Draft`.

        Raises
        ------
        BadColumn
            If a column is missing, of another type, or has values that cannot be used.
        """
        draft = self.draft(rows.num_rows, label=label, linear=linear)
        draft.write(Part(as_batch(rows), hive))
        return draft.finish()

    def draft(
        self,
        n_rows: int,
        order: IntArray | None = None,
        *,
        label: bool = True,
        noted: NDArray[np.bool_] | None = None,
        linear: Linear | None = None,
        alike: Sequence[Encoder] = (),
    ) -> Draft:
        """Start a block of `n_rows` rows, to be filled part by part; see `Draft`.

        Parameters
        ----------
        alike
            Encoders that differ from this one in the label alone.
        """
        return Draft(
            self._layouts,
            n_rows,
            order,
            drop_null_label=self.drop_null_label,
            label=label,
            noted=noted,
            linear=linear,
            further=[(one.schema.label, one.drop_null_label) for one in alike],
        )

    def is_like(self, other: Encoder) -> bool:
        """Return whether both encoders differ at most in the label."""
        return self.schema.model_copy(update={"label": other.schema.label}) == other.schema
