"""Margins computed from columns equal the weights times the block of the same rows."""

from __future__ import annotations

import numpy as np
import pytest

from encoders import COLUMNS, FOLDERS, N_ROWS, encoder, linear, rows
from onepass.arrays import as_batch
from onepass.encode.encoder import Part


@pytest.mark.parametrize("n_outputs", [1, 3])
@pytest.mark.parametrize("kinds", [*([kind] for kind in COLUMNS), [*COLUMNS]], ids=", ".join)
def test_margins_are_the_weights_times_the_features(kinds, n_outputs):
    encode = encoder(kinds)
    weights, table = linear(encode.schema, n_outputs), rows()
    features = encode.encode(table, FOLDERS, label=False)
    expected = features.block.dense @ weights.dense.T + weights.intercept
    if encode.schema.n_hashed:
        expected += weights.hashed[features.block.slots].sum(axis=1)
    if encode.schema.has_entries:
        entries = features.block.entries
        row = np.repeat(np.arange(N_ROWS), entries.lengths)
        np.add.at(expected, row, weights.hashed[entries.slot] * entries.value[:, None])
    found = encode.encode(table, FOLDERS, label=False, linear=weights)
    np.testing.assert_allclose(found.margins.T, expected, rtol=1e-12, atol=1e-10)
    assert found.counts == features.counts
    assert found.block.dense.shape == (N_ROWS, 0)
    assert found.block.slots.shape == (N_ROWS, 0)


@pytest.mark.parametrize("cut", [1, 7, 256, 1000])
def test_margins_are_bitwise_equal_however_the_rows_are_cut(cut):
    encode = encoder([*COLUMNS])
    weights, table = linear(encode.schema, 2), rows()
    whole = encode.encode(table, FOLDERS, label=False, linear=weights).margins
    n = min(N_ROWS, 20 * cut)
    draft = encode.draft(n, label=False, linear=weights)
    for at in range(0, n, cut):
        draft.write(Part(as_batch(table.slice(at, min(cut, n - at))), FOLDERS))
    np.testing.assert_array_equal(draft.finish().margins, whole[:, :n])


def test_rows_without_label_are_dropped_from_margins_labels_and_weights():
    encode = encoder(["numbers"], drop_null_label=True)
    weights, table = linear(encode.schema, 2), rows()
    features, found = (encode.encode(table, {}, linear=one) for one in (None, weights))
    np.testing.assert_array_equal(found.block.label, features.block.label)
    np.testing.assert_array_equal(found.block.weight, features.block.weight)
    expected = features.block.dense @ weights.dense.T + weights.intercept
    np.testing.assert_allclose(found.margins.T, expected, rtol=1e-12, atol=1e-10)
    assert found.counts["null_label"] == table["y"].null_count > 0


def test_no_rows_have_no_margins():
    encode = encoder([*COLUMNS])
    found = encode.encode(rows(0), FOLDERS, label=False, linear=linear(encode.schema, 2))
    assert found.margins.shape == (2, 0)


@pytest.mark.parametrize("offset", [1, 3, 8, 13])
def test_slices_that_begin_within_a_byte_of_the_null_bitmap_give_the_same_margins(offset):
    encode = encoder([*COLUMNS])
    weights, table = linear(encode.schema, 2), rows(700)
    whole = encode.encode(table, FOLDERS, label=False, linear=weights).margins
    part = encode.encode(table.slice(offset, 601), FOLDERS, label=False, linear=weights).margins
    np.testing.assert_array_equal(part, whole[:, offset : offset + 601])
