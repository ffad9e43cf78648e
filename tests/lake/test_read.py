"""Read: units are bounded, cover each row once, and hold the rows that pyarrow reads."""

from __future__ import annotations

import pickle
import tempfile
import threading
from dataclasses import replace
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from freed import open_temporary_files
from lakes import number_table, write_files
from onepass.cloud.bucket import RemoteObject
from onepass.errors import BadPartition, JobError
from onepass.lake.column_chunks import decoded_bytes
from onepass.lake.decoders import joined
from onepass.lake.discover import discover
from onepass.lake.footer import partitions, read_footer
from onepass.lake.limits import ReadLimits
from onepass.lake.order import permutation
from onepass.lake.read import PartitionReader
from onepass.lake.spread import MANY, Spread
from onepass.lake.units import Unit, units
from onepass.stream.workers import Workers

GROUPS = (0, 40, 7, 250, 0, 100, 33, 1)
COLUMNS = ["a", "level", "when", "text", "tag"]
NO_PAGES = ReadLimits(page_bytes=0)
"""Limits by which decoders of slices need no memory; pages of small files take as much as rows."""


SPILL = {"whole_bytes": 0, "spills": True, "limits": ReadLimits(page_bytes=1, reader_bytes=0)}
"""Options of a reader that has no memory for the pages of large row groups."""


@pytest.fixture(params=["sliced", "whole", "spilled"])
def memory(request):
    """Options of a reader that decodes large row groups slice by slice, whole, or to a file."""
    if request.param == "spilled":
        return SPILL
    return {"whole_bytes": 1 << 30 if request.param == "whole" else 0, "limits": NO_PAGES}


def mixed_table(n_rows, seed=0):
    """Numbers, few and many distinct texts with nulls, times, and a dictionary column."""
    rng = np.random.default_rng(seed)
    many = pa.array(rng.integers(0, 10**6, n_rows).astype(str), mask=rng.random(n_rows) < 0.1)
    return (
        number_table(n_rows, seed)
        .append_column("when", pa.array(rng.integers(0, 10**9, n_rows)).cast(pa.timestamp("ms")))
        .append_column("text", many)
        .append_column("tag", many.dictionary_encode())
    )


def write_groups(folder, groups=GROUPS, **options):
    """One file with row groups of the sizes given; returns its only partition opened."""
    table, at = mixed_table(sum(groups)), 0
    folder.mkdir(exist_ok=True)
    with pq.ParquetWriter(folder / "a.parquet", table.schema, **options) as sink:
        for n_rows in groups:
            sink.write_table(table.slice(at, n_rows), row_group_size=1 << 20)
            at += n_rows
    return opened(folder)


def opened(folder):
    (file,) = discover(str(folder))
    footer = read_footer(file)
    return file, footer, next(partitions(file, footer))


def plain(table):
    """Rows without chunks and dictionaries, for comparison."""
    decoded = [
        column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
        for column in table.columns
    ]
    return pa.table(decoded, names=table.schema.names).combine_chunks()


def finish(work, seconds=60):
    """Result of `work`, failing instead of waiting for ever."""
    results = []
    thread = threading.Thread(target=lambda: results.append(work()), daemon=True)
    thread.start()
    thread.join(seconds)
    assert results, "it hangs, or failed"
    return results[0]


@pytest.mark.parametrize("batch_rows", [1, 7, 40, 90, 250, 1000])
def test_units_cover_each_row_once_and_never_exceed_the_batch(tmp_path, batch_rows):
    _, footer, partition = write_groups(tmp_path / "lake")
    for seed in (None, 0, 1):
        order = None if seed is None else [int(i) for i in permutation(len(GROUPS), seed)]
        covered = []
        for unit in units(partition, footer, batch_rows, order):
            assert 0 < unit.rows <= batch_rows
            rows = sum(GROUPS[group] for group in unit.row_groups)
            assert unit.is_slice == (unit.rows < rows) or (unit.offset, unit.rows) == (0, rows)
            for group in unit.row_groups:
                n_rows = unit.rows if unit.is_slice else GROUPS[group]
                covered += [(group, unit.offset + i) for i in range(n_rows)]
        stored = [(group, row) for group, n_rows in enumerate(GROUPS) for row in range(n_rows)]
        assert sorted(covered) == stored
        if order is not None:
            assert covered == sorted(stored, key=lambda at: (order.index(at[0]), at[1]))
        else:
            assert covered == stored


def test_units_of_a_range_stay_within_it_and_are_named_apart(tmp_path):
    file, footer, _ = write_groups(tmp_path / "lake")
    places = []
    for part in partitions(file, footer, 2000):
        for unit in units(part, footer, 30):
            assert all(part.first_row_group <= g < part.end_row_group for g in unit.row_groups)
            places.append(unit.place)
    assert len(set(places)) == len(places) > len(list(partitions(file, footer, 2000))) > 1


@pytest.mark.parametrize("batch_rows", [7, 64, 250, 1000])
def test_rows_are_those_that_pyarrow_reads_as_a_whole(tmp_path, batch_rows, memory):
    file, footer, partition = write_groups(tmp_path / "lake")
    reader = PartitionReader(file, footer, COLUMNS, ["level", "text"], batch_rows, **memory)
    parts = [plain(reader.read(unit)) for unit in units(partition, footer, batch_rows)]
    whole = plain(pq.read_table(file.location, columns=COLUMNS))
    assert plain(pa.concat_tables(parts)).select(COLUMNS).equals(whole)


@pytest.mark.parametrize("page", [{}, {"data_page_size": 500, "dictionary_pagesize_limit": 2000}])
def test_slices_taken_by_several_threads_are_the_large_row_group(tmp_path, page, memory):
    file, footer, partition = write_groups(tmp_path / "lake", (20_000, 5, 9000), **page)
    reader = PartitionReader(file, footer, COLUMNS, ["level"], 512, **memory)
    order = list(units(partition, footer, 512, [2, 0, 1]))
    tasks = [(partial(reader.read, unit), True) for unit in order]

    def through_workers():
        with Workers() as workers:
            return [plain(table) for table in workers.ordered(iter(tasks))]

    whole = plain(pq.read_table(file.location, columns=COLUMNS))
    expected = pa.concat_tables([whole.slice(20_005), whole.slice(0, 20_005)])
    assert plain(pa.concat_tables(finish(through_workers))).equals(expected.combine_chunks())
    assert not reader.large


def test_slice_does_not_wait_for_earlier_ones_whose_tasks_never_run(tmp_path, memory):
    """After a failure, later tasks are cancelled, but a task that has begun must still end."""
    file, footer, partition = write_groups(tmp_path / "lake", (1000,))
    reader = PartitionReader(file, footer, ["a"], [], 100, **memory)
    cut = list(units(partition, footer, 100))
    whole = plain(pq.read_table(file.location, columns=["a"]))
    for at in (5, 9, 0, 7, 1, 2, 3, 4, 6, 8):
        rows = finish(lambda unit=cut[at]: reader.read(unit))
        assert plain(rows).equals(whole.slice(at * 100, 100))
        if at == 5 and not memory["whole_bytes"]:
            # What has been handed out is not kept.
            with pytest.raises(BadPartition, match="was taken before"):
                reader.read(cut[at])


def test_row_groups_of_one_file_may_store_a_text_as_codes_and_as_it_is(tmp_path, memory):
    """Each row group is read by its own types, as dictionaries or as plain text."""
    texts = np.append(np.tile(["a", "b"], 5000), np.arange(10_000).astype(str))
    table = pa.table({"n": np.arange(20_000), "text": texts, "m": np.arange(20_000.0), "o": texts})
    options = {"row_group_size": 10_000, "dictionary_pagesize_limit": 1000}
    write_files(tmp_path / "lake", {"a.parquet": table}, **options)
    file, footer, partition = opened(tmp_path / "lake")
    names = table.schema.names
    reader = PartitionReader(file, footer, names, ["text", "o"], 3000, **memory)
    parts = [reader.read(unit) for unit in units(partition, footer, 3000)]
    assert {str(part["text"].type)[:10] for part in parts} == {"dictionary", "string"}
    rows = pa.concat_tables([plain(part).select(names) for part in parts])
    assert plain(rows).equals(plain(table))


def test_large_row_groups_are_decoded_whole_where_memory_allows(tmp_path):
    """Never of an object store: Arrow's threads would need the interpreter to read from it."""
    file, footer, _ = write_groups(tmp_path / "lake", (200_000,))
    names = ["a", "level", "when"]

    def is_whole(**options):
        reader = PartitionReader(file, footer, names, [], 1000, limits=NO_PAGES, **options)
        return bool(reader.large.columns_at_once(0))

    nbytes = pq.ParquetFile(file.location).read_row_group(0, columns=["a", "when"]).nbytes
    assert not is_whole(whole_bytes=nbytes // 2)
    assert is_whole(whole_bytes=4 * nbytes)
    assert not is_whole(whole_bytes=4 * nbytes, n_open=8)
    file = replace(file, remote=RemoteObject("a", 1, None))
    assert not is_whole(whole_bytes=4 * nbytes)


def test_row_group_is_spilled_only_if_its_pages_do_not_fit_and_all_of_it_is_read(tmp_path):
    file, footer, partition = write_groups(tmp_path / "lake", (5000,))
    names = ["a", "text", "tag"]
    cut = list(units(partition, footer, 500))

    def spills(n_bytes, **options):
        limits, before = ReadLimits(reader_bytes=n_bytes), open_temporary_files()
        reader = PartitionReader(file, footer, names, [], 500, limits=limits, **options)
        reader.read(cut[0])
        return open_temporary_files() != before

    assert spills(1000, spills=True)
    assert not spills(1000)
    assert not spills(1 << 20, spills=True)
    assert not spills(0, spills=True, whole_bytes=1 << 20)
    assert spills(0, spills=True, whole_bytes=1 << 20, n_open=1000)


def test_shares_of_rows_are_the_same_whether_spilled_or_whole(tmp_path):
    file, footer, partition = write_groups(tmp_path / "lake", (5000, 40, 3000))

    def cut(group, n_rows, n_shares):
        return Spread(n_rows, n_shares, MANY, (0, "a", group))

    def read(**options):
        reader = PartitionReader(file, footer, COLUMNS, ["level", "tag"], 512, **options)
        found = [reader.read(unit) for unit in units(partition, footer, 512, spreads=cut)]
        assert not reader.large
        return [plain(rows).select(COLUMNS) for rows in found]

    whole = read(whole_bytes=1 << 30)
    assert read(**SPILL) == whole
    assert sum(rows.num_rows for rows in whole) == 8040


def test_temporary_folder_that_cannot_be_written_is_no_fault_of_the_file(tmp_path, monkeypatch):
    """A file at fault could be skipped, and the rows would be lost."""
    file, footer, partition = write_groups(tmp_path / "lake", (1000,))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    reader = PartitionReader(file, footer, COLUMNS, [], 100, **SPILL)
    with pytest.raises(JobError, match="Set TMPDIR to a folder with more space"):
        reader.read(next(units(partition, footer, 100)))


def test_memory_of_a_column_is_never_underestimated(tmp_path):
    """A column may have few long texts as codes, followed by many short plain ones: its footer does
    not tell the decoded size."""
    rng = np.random.default_rng(0)
    long = np.array([f"{i:0400d}" for i in range(2000)])[rng.integers(0, 2000, 85_000)]
    table = pa.table(
        {
            "mixed": np.append(long, [f"{i:06d}" for i in range(15_000)]),
            "plain": rng.integers(0, 10**9, 100_000).astype(str),
            "whole": np.arange(100_000),
            "day": pa.array(np.arange(100_000), pa.int32()).cast(pa.date32()),
            "yes": np.arange(100_000) % 2 == 0,
        }
    )
    options = {"dictionary_pagesize_limit": 1_000_000, "use_dictionary": ["mixed", "whole"]}
    write_files(tmp_path, {"a.parquet": table}, **options)
    file, footer, partition = opened(tmp_path)
    chunks = footer.chunks.of(0, range(table.num_columns))
    sizes = {chunk.column: decoded_bytes(chunk, False) for chunk in chunks}
    assert sizes.pop("mixed") is None
    for name, found in sizes.items():
        assert table[name].nbytes <= found < 10 * table[name].nbytes, name
    names = table.schema.names
    reader = PartitionReader(file, footer, names, ["mixed"], 3000, whole_bytes=1 << 30)
    assert reader.large.columns_at_once(0) == names[1:]
    parts = [reader.read(unit) for unit in units(partition, footer, 3000)]
    assert plain(pa.concat_batches(parts)).select(names).equals(plain(table))
    assert not reader.large


def test_file_that_cannot_be_opened_fails_every_slice_and_hangs_none(tmp_path, memory):
    file, footer, partition = write_groups(tmp_path / "lake", (1000,))
    (tmp_path / "lake/a.parquet").unlink()
    reader = PartitionReader(file, footer, ["a"], [], 100, **memory)
    for unit in units(partition, footer, 100):
        with pytest.raises(BadPartition, match=r"a\.parquet, row group 0.*: cannot decode"):
            reader.read(unit)


def test_pickled_reader_reads_the_same(tmp_path, memory):
    file, footer, partition = write_groups(tmp_path / "lake", (1000,))
    reader = PartitionReader(file, footer, COLUMNS, ["level"], 300, **memory)
    first, *_ = cut = list(units(partition, footer, 300))
    reader.read(first)
    again = pickle.loads(pickle.dumps(reader))
    rows = pa.concat_batches([again.read(unit) for unit in pickle.loads(pickle.dumps(cut))])
    assert plain(rows).equals(plain(pq.read_table(file.location, columns=COLUMNS)))


def read_all(folder, batch_rows, memory):
    """Rows of a lake of one file, or None if it is refused as a BadPartition."""
    try:
        file, footer, partition = opened(folder)
        reader = PartitionReader(file, footer, ["a", "text"], ["text"], batch_rows, **memory)
        parts = [reader.read(unit) for unit in units(partition, footer, batch_rows)]
    except BadPartition:
        return None
    return plain(pa.concat_batches(parts))


@pytest.mark.parametrize("batch_rows", [300, 5000])
def test_footer_that_promises_more_rows_than_the_pages_hold_is_refused(
    tmp_path, batch_rows, memory
):
    write_files(tmp_path, {"a.parquet": mixed_table(1000).select(["a", "text"])})
    whole = (tmp_path / "a.parquet").read_bytes()
    first = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    # Thrift's zigzag varint of 1000 and of 1001, in every count of the footer.
    lying = whole[:first] + whole[first:].replace(b"\x16\xd0\x0f", b"\x16\xd2\x0f")
    (tmp_path / "a.parquet").write_bytes(lying)
    assert opened(tmp_path)[2].rows == 1001
    assert finish(lambda: [read_all(tmp_path, batch_rows, memory)]) == [None]


@pytest.mark.parametrize("batch_rows", [50, 5000])
@pytest.mark.parametrize("checksum", [True, False])
def test_flipped_bytes_in_pages_are_refused_or_keep_the_number_of_rows(
    tmp_path, batch_rows, checksum, memory
):
    table = mixed_table(400).select(["a", "text"])
    write_files(tmp_path, {"a.parquet": table}, write_page_checksum=checksum)
    whole = (tmp_path / "a.parquet").read_bytes()
    end = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    rng = np.random.default_rng(0)

    def damage_and_read():
        damaged = bytearray(whole)
        damaged[rng.integers(4, end)] ^= rng.integers(1, 256)
        (tmp_path / "a.parquet").write_bytes(damaged)
        return read_all(tmp_path, batch_rows, memory)

    read = finish(lambda: [damage_and_read() for _ in range(150)])
    sound = [rows for rows in read if rows is not None]
    assert all(rows.num_rows == 400 for rows in sound)
    if checksum:
        # Only the few bytes of page headers are not covered, and most of those matter little.
        assert len(sound) < 15
        assert all(rows.equals(plain(table)) for rows in sound)


def test_codes_without_a_value_are_refused_before_chunks_are_joined():
    """Where dictionaries differ, Arrow looks up each code, wherever it points."""
    chunks = [
        pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), pa.array(texts), safe=False)
        for codes, texts in (([0, 1, 0], ["a", "b"]), ([0, 1 << 20, 0], ["c", "d"]))
    ]
    table = pa.table({"level": pa.chunked_array(chunks)})
    with pytest.raises(pa.ArrowInvalid, match="codes 0 to 1048576 in column 'level' of 2 distinct"):
        joined(table)


def test_column_names_with_dots_spaces_and_letters_from_elsewhere_are_read_as_they_are(tmp_path):
    """pyarrow takes a dot in a name for a path into a nested column."""
    names = ["PM2.5", "PM2", "ein ort", "straße.ñ", "", "s.x", "a\nb"]
    rng = np.random.default_rng(0)
    table = pa.table({name: rng.integers(0, 9, 50).astype(str) for name in names})
    nested = pa.array([{"x": 1.0, "y": "z"}] * 50)
    write_files(tmp_path, {"a.parquet": table.add_column(2, "s", nested)}, row_group_size=20)
    file, footer, partition = opened(tmp_path)
    for batch_rows in (6, 100):
        for columns in (names, *([name] for name in names)):
            reader = PartitionReader(file, footer, columns, columns, batch_rows)
            rows = pa.concat_tables(
                [plain(reader.read(u)) for u in units(partition, footer, batch_rows)]
            )
            assert plain(rows.select(columns)).equals(table.select(columns))


CODES = pa.list_(pa.dictionary(pa.int32(), pa.string()))


def list_rows(n: int) -> pa.Table:
    """Rows of lists and maps, whose texts are written as codes."""
    tags = [None if i % 7 == 0 else [f"tag {j}" for j in range(i % 4)] for i in range(n)]
    counts = [[(one, i) for one in row or []] for i, row in enumerate(tags)]
    return pa.table(
        {
            "tags": pa.array(tags, pa.list_(pa.string())),
            "counts": pa.array(counts, pa.map_(pa.string(), pa.int64())),
            "coded": pa.array(tags, pa.list_(pa.string())).cast(CODES),
            "vector": pa.array([[i, i + 1] for i in range(n)], pa.list_(pa.float32(), 2)),
        }
    )


@pytest.mark.parametrize("groups", [(0,), (0, 1, 2), (2, 0)], ids=str)
def test_lists_of_several_row_groups_are_read_with_codes_and_without(tmp_path, groups):
    table = list_rows(900)
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=300)
    (file,) = discover(str(tmp_path))
    names = table.column_names
    reader = PartitionReader(file, read_footer(file), names, ["tags", "counts"], batch_rows=900)
    rows = reader.read(Unit(groups, 300 * len(groups)))
    expected = pa.concat_tables(table.slice(300 * group, 300) for group in groups)
    assert rows.to_pydict() == expected.to_pydict()
    # Codes of one dictionary are read as such, which takes a third of the time.
    assert (rows.schema.field("tags").type == CODES) == (len(groups) == 1)


def test_lists_of_a_large_row_group_are_read_slice_by_slice(tmp_path):
    table = list_rows(900)
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=900)
    (file,) = discover(str(tmp_path))
    names = table.column_names
    for whole_bytes in (0, 1 << 30):
        reader = PartitionReader(
            *(file, read_footer(file), names, ["tags", "counts"]),
            batch_rows=200,
            whole_bytes=whole_bytes,
        )
        for start in range(0, 900, 200):
            rows = reader.read(Unit((0,), min(200, 900 - start), start, is_slice=True))
            assert rows.to_pydict() == table.slice(start, 200).to_pydict()
