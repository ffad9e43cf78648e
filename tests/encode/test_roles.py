"""Columns that say how a row counts: their values become numbers, or a clear error."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from onepass.block import Linear
from onepass.encode.encoder import Encoder
from onepass.encode.roles import log_exposures, row_clusters, row_offsets
from onepass.encode.scalar_kinds import Numeric
from onepass.encode.schema import Label, Schema
from onepass.errors import BadColumn


def schema(**roles):
    return Schema(
        columns=[Numeric(name="x", center=0.0, scale=1.0, missing=False)],
        label=Label(name="y", family="number", center=0.0, scale=2.0),
        weight=None,
        hash_bits=4,
        hive={},
        **roles,
    )


ROWS = pa.table(
    {
        "x": [1.0, 2.0, 3.0],
        "y": [0.0, 1.0, 2.0],
        "known": [0.5, 0.25, -1.0],
        "years": pa.array([1, 2, 4], pa.int16()),
        "shop": ["a", "b", "a"],
    }
)


def test_offset_and_log_of_exposure_add_up():
    block = Encoder(schema(offset="known", exposure="years")).encode(ROWS, {}).block
    known = np.array([0.5, 0.25, -1.0])
    np.testing.assert_allclose(block.offset, known + np.log([1, 2, 4]))


def test_rows_of_no_such_column_carry_nothing():
    block = Encoder(schema()).encode(ROWS, {}).block
    assert block.offset is None
    assert block.cluster is None


def test_margins_have_the_offset_in_the_unit_of_the_learner():
    linear = Linear(np.array([0.5]), np.array([[2.0]]), np.empty((0, 1)))
    with_offset = Encoder(schema(offset="known")).encode(ROWS, {}, label=False, linear=linear)
    without = Encoder(schema()).encode(ROWS, {}, label=False, linear=linear)
    np.testing.assert_allclose(
        with_offset.margins - without.margins, [np.array([0.5, 0.25, -1.0]) / 2]
    )


def test_offsets_are_read_with_and_without_labels_and_clusters_with_labels():
    own = schema(offset="known", exposure="years", cluster="shop")
    assert own.names(label=False) == ["x", "known", "years"]
    assert own.names(label=True) == ["x", "known", "years", "y", "shop"]


def test_rows_of_one_cluster_have_one_hash_however_it_is_stored():
    whole = pa.array([3, 5, 3])
    forms = [whole, whole.cast(pa.int8()), whole.cast(pa.string()), whole.dictionary_encode()]
    forms.append(whole.cast(pa.string()).dictionary_encode())
    hashes = [row_clusters(values, "shop") for values in forms]
    for found in hashes:
        np.testing.assert_array_equal(found, hashes[0])
    assert hashes[0][0] == hashes[0][2] != hashes[0][1]


def test_clusters_hardly_ever_share_a_hash():
    names = pa.array([f"customer {i}" for i in range(100_000)])
    assert len(np.unique(row_clusters(names, "customer"))) == 100_000


@pytest.mark.parametrize(
    ("reader", "values", "message"),
    [
        (row_offsets, [0.0, None], "expected finite offsets, found nan in row 1"),
        (row_offsets, [np.inf], "expected finite offsets, found inf"),
        (row_offsets, ["1"], "expected a number, found type string"),
        (log_exposures, [1.0, 0.0], "expected exposures above 0, found 0 in row 1"),
        (log_exposures, [None, 1.0], "found nan in row 0"),
        (log_exposures, [None], "found type null"),
        (row_clusters, ["a", None], "1 of 2 rows have no cluster; leave them out with"),
        (row_clusters, [0.5], "expected text, an integer or a bool, found type double"),
    ],
)
def test_values_that_cannot_be_used_are_refused(reader, values, message):
    with pytest.raises(BadColumn, match=message):
        reader(pa.array(values), "c")
