"""Sparse rows of a draft keep to their rows: in any order, and where rows are dropped."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from onepass.arrays import as_batch
from onepass.encode.encoder import Encoder, Part
from onepass.encode.nested_kinds import Pairs
from onepass.encode.schema import Label, Schema

N_ROWS = 90


def encoder(**options) -> Encoder:
    column = Pairs(name="i:v", index="i", value="v", scale=1.0, per_row=2.0)
    label = Label(name="y", family="number")
    schema = Schema(columns=[column], label=label, weight=None, hash_bits=20, hive={})
    return Encoder(schema, **options)


def rows() -> pa.Table:
    """Row k has k % 5 entries of the value k + 1, and every seventh row has no label."""
    index = [[*range(k % 5)] for k in range(N_ROWS)]
    value = [[k + 1.0] * (k % 5) for k in range(N_ROWS)]
    label = [None if k % 7 == 0 else float(k) for k in range(N_ROWS)]
    return pa.table({"i": index, "v": value, "y": pa.array(label, pa.float64())})


def test_entries_follow_their_rows_through_a_shuffle_and_the_loss_of_others():
    order = np.random.default_rng(1).permutation(N_ROWS)
    draft = encoder(drop_null_label=True).draft(N_ROWS, order)
    for at in range(0, N_ROWS, 20):
        draft.write(Part(as_batch(rows().slice(at, 20))))
    found = draft.finish()
    block, kept = found.block, [int(k) for k in order if k % 7]
    assert found.rows.tolist() == block.label.astype(int).tolist() == kept
    assert block.entries.lengths.tolist() == [k % 5 for k in kept]
    expected = [k + 1.0 for k in kept for _ in range(k % 5)]
    assert block.entries.value.tolist() == expected
    assert found.counts["null_label"] == N_ROWS - len(kept)


def test_a_schema_without_sparse_rows_makes_blocks_without_entries():
    label = Label(name="y", family="number")
    schema = Schema(columns=[], label=label, weight=None, hash_bits=20, hive={})
    assert Encoder(schema, drop_null_label=True).encode(rows(), {}).block.entries is None
    assert (schema.n_slots, schema.n_selected) == (0, 0)
    sparse = encoder().schema
    assert (sparse.n_slots, sparse.n_selected, sparse.n_hashed) == (1 << 20, 2, 0)
