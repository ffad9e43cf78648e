"""Row groups that do not fit into memory are decoded once, and give the rows of the others."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from freed import held_bytes, open_temporary_files
from onepass.lake.spilled_row_groups import Spilled
from onepass.lake.spread import MANY, Spread
from onepass.lake.spread_row_groups import SpreadWhole

N, N_PARTS = 10_000, 20
SPREAD = Spread(N, N_PARTS, MANY, (1, "a", 0))
BY_SHARE = [SPREAD.pieces(share) for share in range(N_PARTS)]
BY_SLICE = [[(first, 700)] for first in range(0, 9800, 700)] + [[(9800, 200)]]
AMPLE = 1 << 20
"""Memory for dictionaries that is enough for all."""


def every_type() -> pa.RecordBatch:
    rng = np.random.default_rng(0)
    holes = rng.random(N) < 0.1
    return pa.record_batch(
        {
            "row": np.arange(N),
            "text": [f"text {i}" for i in range(N)],
            "hole": pa.array([f"{i}" for i in range(N)], mask=holes),
            "level": pa.array(rng.integers(0, 50, N).astype(str), mask=holes).dictionary_encode(),
            "yes": pa.array(rng.random(N) < 0.5, mask=holes),
            "sure": pa.array(rng.random(N) < 0.5),
            "price": pa.array([Decimal(i) / 100 for i in range(N)], pa.decimal128(12, 2)),
            "day": pa.array(np.arange(N), pa.int32()).cast(pa.date32()),
            "at": pa.array(rng.integers(0, 10**9, N)).cast(pa.timestamp("ms", "UTC")),
            "none": pa.nulls(N, pa.float32()),
            "list": pa.array([[i] * (i % 3) for i in range(N)]),
        }
    )


ROWS = every_type()


class Decoder:
    """Gives some columns batch by batch, and counts how often."""

    def __init__(self, columns: list[str], batch_rows: int, rows: pa.RecordBatch = ROWS) -> None:
        self.n_passes, self._batch_rows, self._rows = 0, batch_rows, rows.select(columns)

    def __call__(self):
        self.n_passes += 1
        for first in range(0, self._rows.num_rows, self._batch_rows):
            yield self._rows.slice(first, self._batch_rows)


def decoders(n_shares: int, batch_rows: int, rows: pa.RecordBatch = ROWS) -> list[Decoder]:
    names = np.array_split(np.array(rows.schema.names), n_shares)
    return [Decoder(columns.tolist(), batch_rows, rows) for columns in names]


def spilled(batch_rows: int = 700, rows: pa.RecordBatch = ROWS, free: int = AMPLE) -> Spilled:
    return Spilled(decoders(3, batch_rows, rows), BY_SHARE, 1, free)


def values(rows: pa.RecordBatch) -> dict[str, list]:
    return rows.to_pydict()


@pytest.mark.parametrize("batch_rows", [97, 700, N])
@pytest.mark.parametrize("n_shares", [1, 4, 11])
def test_shares_are_those_of_the_whole_row_group_and_decoded_once(batch_rows, n_shares):
    once = decoders(n_shares, batch_rows)
    group, whole = Spilled(once, BY_SHARE, 1, AMPLE), SpreadWhole(lambda: ROWS, SPREAD)
    for share in range(N_PARTS):
        found, expected = group.take(share, 500), whole.take(share, 500)
        found.validate(full=True)
        assert found == expected
        assert group.is_used_up == whole.is_used_up == (share == N_PARTS - 1)
    assert [decoder.n_passes for decoder in once] == [1] * n_shares


@pytest.mark.parametrize("batch_rows", [1, 97, 700, N])
def test_slices_are_the_rows_in_stored_order(batch_rows):
    rows = ROWS.select(["row", "hole", "level", "yes"])
    group = Spilled(decoders(2, batch_rows, rows), BY_SLICE, 700, AMPLE)
    for first in range(0, N, 700):
        assert group.take(first, 700) == rows.slice(first, 700)
    assert group.is_used_up


@pytest.mark.parametrize("free", [0, 700, 1500])
def test_dictionaries_that_do_not_fit_are_kept_as_plain_text(free):
    """Each batch has a dictionary of its own; the first ones fit, and later ones do not."""
    text = [f"{i // 2500}-{i % 20}" for i in range(N)]
    parts = [pa.array(text[at : at + 2500]).dictionary_encode() for at in range(0, N, 2500)]

    def batches():
        return iter([pa.record_batch({"t": part, "u": part}) for part in parts])

    group = Spilled([batches], BY_SHARE, 1, free)
    for share in range(N_PARTS):
        found = values(group.take(share, 500))
        expected = [text[i] for at, n in SPREAD.pieces(share) for i in range(at, at + n)]
        assert found == {"t": expected, "u": expected}


def test_part_is_taken_once():
    group = spilled()
    group.take(3, 500)
    with pytest.raises(pa.ArrowInvalid, match="taken before"):
        group.take(3, 500)


def test_parts_are_taken_in_any_order_by_several_threads():
    order = np.random.default_rng(0).permutation(N_PARTS)
    group, whole = spilled(), SpreadWhole(lambda: ROWS, SPREAD)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda share: group.take(int(share), 500), order))
    for share, rows in zip(order, found, strict=True):
        assert rows == whole.take(int(share), 500)
    assert group.is_used_up


def test_file_is_freed_with_the_last_part_or_when_it_is_dropped():
    before = open_temporary_files()
    group = spilled()
    for share in range(N_PARTS):
        group.take(share, 500)
        assert (len(open_temporary_files()) > len(before)) == (share < N_PARTS - 1)

    def dropped():
        spilled().take(0, 500)

    assert held_bytes(dropped) == 0


@pytest.mark.parametrize("at", [0, 5000, 9999])
def test_row_group_with_fewer_rows_than_promised_is_refused_and_freed(at):
    before = open_temporary_files()
    group = spilled(rows=ROWS.slice(0, at))
    with pytest.raises(pa.ArrowInvalid, match=f"promises 10000 rows, the pages hold {at}"):
        group.take(0, 500)
    assert open_temporary_files() == before
    assert not group.is_used_up


def test_memory_is_that_of_one_share_of_the_columns():
    rows = pa.record_batch({f"x{i}": np.random.default_rng(i).normal(size=N) for i in range(20)})
    start, peak = pa.total_allocated_bytes(), 0

    class Copied(Decoder):
        def __call__(self):
            nonlocal peak
            for batch in super().__call__():
                peak = max(peak, pa.total_allocated_bytes() - start)
                yield batch.take(pa.array(np.arange(batch.num_rows)))
                peak = max(peak, pa.total_allocated_bytes() - start)

    group = Spilled([Copied([name], N, rows) for name in rows.schema.names], BY_SHARE, 1, AMPLE)
    for share in range(N_PARTS):
        group.take(share, 500)
    assert peak < 3 * rows.nbytes / 20


def test_lists_and_maps_are_those_of_the_whole_row_group_without_codes():
    rng = np.random.default_rng(0)
    tags = [None if k == 3 else [f"tag {j}" for j in range(k)] for k in rng.integers(0, 4, N)]
    pairs = [
        None if row is None else [(one, float(k)) for one in row] for k, row in enumerate(tags)
    ]
    code = pa.dictionary(pa.int32(), pa.string())
    rows = pa.record_batch(
        {
            "tags": pa.array(tags, pa.list_(pa.string())).cast(pa.list_(code)),
            "map": pa.array(pairs, pa.map_(pa.string(), pa.float64())).cast(
                pa.map_(code, pa.float64())
            ),
            "vector": pa.array([[i, None, 0] for i in range(N)], pa.list_(pa.float32(), 3)),
        }
    )
    group, whole = spilled(rows=rows), SpreadWhole(lambda: rows, SPREAD)
    for share in range(N_PARTS):
        found = group.take(share, 500)
        found.validate(full=True)
        assert values(found) == values(whole.take(share, 500))
