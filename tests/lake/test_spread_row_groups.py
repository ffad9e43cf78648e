"""Row groups that do not fit into memory give the same shares in several passes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pytest

from onepass.lake.spread import MANY, Spread
from onepass.lake.spread_row_groups import SpreadPasses, SpreadWhole

N = 10_000
ROWS = pa.record_batch({"row": np.arange(N), "text": [f"text {i}" for i in range(N)]})
ROW_BYTES = ROWS.nbytes / N
SPREAD = Spread(N, 20, MANY, (1, "a", 0))


class Decoder:
    """Gives the rows batch by batch, and counts how often."""

    def __init__(self, batch_rows: int = 700, rows: pa.RecordBatch = ROWS) -> None:
        self.n_passes, self._batch_rows, self._rows = 0, batch_rows, rows

    def __call__(self):
        self.n_passes += 1
        for first in range(0, self._rows.num_rows, self._batch_rows):
            yield self._rows.slice(first, self._batch_rows)


def expected(share: int) -> pa.Table:
    return pa.Table.from_batches([ROWS.slice(*piece) for piece in SPREAD.pieces(share)])


@pytest.mark.parametrize("batch_rows", [1, 97, 700, N])
@pytest.mark.parametrize("n_kept", [0, 1, 6, 20])
def test_shares_are_those_of_the_whole_row_group_at_any_memory(batch_rows, n_kept):
    decoder = Decoder(batch_rows)
    passes = SpreadPasses(decoder, SPREAD, int(n_kept * ROW_BYTES * 500) + 1, ROW_BYTES)
    whole = SpreadWhole(lambda: ROWS, SPREAD)
    for share in range(20):
        found = [group.take(share, 500) for group in (passes, whole)]
        assert found[0] == found[1]
        assert pa.table(found[0].to_pydict()) == expected(share).combine_chunks()
        assert passes.is_used_up == whole.is_used_up == (share == 19)
    assert decoder.n_passes == -(-20 // max(1, n_kept))


def test_share_is_taken_once():
    passes = SpreadPasses(Decoder(), SPREAD, 1 << 20, ROW_BYTES)
    passes.take(3, 500)
    with pytest.raises(pa.ArrowInvalid, match="taken before"):
        passes.take(3, 500)


def test_shares_are_taken_in_any_order_by_several_threads():
    order = np.random.default_rng(0).permutation(20)
    passes = SpreadPasses(Decoder(), SPREAD, int(3 * ROW_BYTES * 500), ROW_BYTES)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda share: passes.take(int(share), 500), order))
    for share, rows in zip(order, found, strict=True):
        assert pa.table(rows.to_pydict()) == expected(int(share)).combine_chunks()
    assert passes.is_used_up


def test_passes_keep_no_more_than_their_memory_where_texts_are_longer_than_expected():
    before = pa.total_allocated_bytes()
    rows = pa.record_batch({"text": [f"{i:06}" * 100 for i in range(N)]})
    start, peak = pa.total_allocated_bytes(), 0

    class Watched(Decoder):
        def __call__(self):
            nonlocal peak
            for batch in super().__call__():
                peak = max(peak, pa.total_allocated_bytes() - start)
                yield batch

    most = rows.nbytes // 5
    passes = SpreadPasses(Watched(rows=rows), SPREAD, most, row_bytes=6.0)
    texts = [text for share in range(20) for text in passes.take(share, 500)["text"].to_pylist()]
    assert sorted(texts) == rows["text"].to_pylist()
    assert before <= start
    assert peak < 2 * most


def test_row_group_with_fewer_rows_than_promised_is_refused():
    passes = SpreadPasses(Decoder(rows=ROWS.slice(0, N - 1)), SPREAD, 1 << 20, ROW_BYTES)
    with pytest.raises(pa.ArrowInvalid, match="promises 10000 rows, the pages hold 9999"):
        passes.take(0, 500)
