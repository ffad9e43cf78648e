"""Decoded rows are freed when nobody uses them: no reference cycle and no error keeps them.

Python's garbage collector counts objects, not bytes. A row group of 100 MB in a reference cycle is
one object more, and dozens of them may wait for the collector at the same time.
"""

from __future__ import annotations

import gc

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from freed import held_bytes
from lakes import write_files
from onepass.encode.encoder import Encoder
from onepass.encode.scalar_kinds import Hashed, Numeric
from onepass.encode.schema import Label, Schema
from onepass.errors import BadPartition
from onepass.lake.discover import discover
from onepass.lake.footer import _seen, partitions, read_footer
from onepass.lake.limits import ReadLimits
from onepass.lake.read import PartitionReader
from onepass.lake.rotation import Source
from onepass.lake.units import units
from onepass.stream.reading import Reading, as_is
from onepass.stream.stream import ReadGroup, stream
from onepass.stream.workers import Workers
from onepass.survey.bad_files import BadFiles
from onepass.survey.footers import read_summaries
from onepass.survey.sample import draw_sample

N_ROWS, N_GROUPS, SLICE_ROWS = 20_000, 2, 4096
NAMES = ["x", "text", "y"]
NO_PAGES = ReadLimits(page_bytes=0)
"""Limits by which only `whole_bytes` decides whether a row group is decoded as a whole."""

SMALL = 1 << 16
"""Bytes that may be left: less than one decoded slice of the three columns."""

SPILL = ReadLimits(page_bytes=1, reader_bytes=0)
"""Limits by which large row groups are decoded into a temporary file."""

each_way = pytest.mark.parametrize(
    "memory",
    [
        {"whole_bytes": 0, "limits": NO_PAGES},
        {"whole_bytes": 1 << 30, "limits": NO_PAGES},
        {"whole_bytes": 0, "limits": SPILL},
    ],
    ids=["sliced", "whole", "spilled"],
)
"""Ways of reading a large row group."""


@pytest.fixture
def lake(tmp_path):
    rng = np.random.default_rng(0)
    texts = rng.integers(0, 10**9, N_ROWS).astype(str)
    table = pa.table({"x": rng.normal(size=N_ROWS), "text": texts, "y": rng.normal(size=N_ROWS)})
    write_files(
        tmp_path / "lake",
        dict.fromkeys(("a.parquet", "b.parquet"), table),
        row_group_size=N_ROWS // N_GROUPS,
        write_page_checksum=True,
        use_dictionary=["text"],
    )
    return tmp_path / "lake"


def damage(path):
    """Flip a byte in the page in the middle of each row group's label."""
    whole, metadata = bytearray(path.read_bytes()), pq.read_metadata(path)
    for group in range(metadata.num_row_groups):
        chunk = metadata.row_group(group).column(2)
        whole[chunk.data_page_offset + chunk.total_compressed_size // 2] ^= 0xFF
    path.write_bytes(whole)


def opened(lake, memory):
    """A reader of the lake's first file, and its slices."""
    file = discover(str(lake))[0]
    footer = read_footer(file)
    spills = memory["limits"] is SPILL
    reader = PartitionReader(file, footer, NAMES, ["text"], SLICE_ROWS, spills=spills, **memory)
    return reader, list(units(next(partitions(file, footer)), footer, SLICE_ROWS))


@each_way
@pytest.mark.parametrize("n_taken", [1, 2, 1000], ids=["first", "two", "all"])
def test_reader_that_is_dropped_frees_what_it_has_decoded(lake, memory, n_taken):
    def read_some():
        reader, cut = opened(lake, memory)
        for unit in cut[:n_taken]:
            reader.read(unit)

    assert held_bytes(read_some) < SMALL


@each_way
def test_damaged_row_groups_are_freed_with_their_reader(lake, memory):
    damage(lake / "a.parquet")

    def fail():
        reader, cut = opened(lake, memory)
        for unit in cut:
            with pytest.raises(BadPartition, match=r"row group [01], column 'y': cannot decode"):
                reader.read(unit)

    assert held_bytes(fail) < SMALL


def test_sampling_frees_what_it_does_not_return(lake):
    """The sample is a few rows of a row group that was decoded as a whole."""
    files = discover(str(lake))

    def sample():
        bad = BadFiles(skip=False)
        draw_sample(files, NAMES, {}, label="y", seed=0, bad=bad)

    assert held_bytes(sample) < SMALL


def test_errors_of_skipped_files_do_not_keep_their_rows(lake):
    damage(lake / "a.parquet")
    files, bad = discover(str(lake)), BadFiles(skip=True)

    def sample():
        draw_sample(files, NAMES, {}, label="y", seed=0, bad=bad)

    assert held_bytes(sample) < SMALL
    (error,) = bad
    assert (error.path, error.column) == ("a.parquet", "y")


@each_way
@pytest.mark.parametrize("is_damaged", [False, True], ids=["sound", "damaged"])
def test_stream_that_stops_early_frees_its_rows(lake, memory, is_damaged):
    if is_damaged:
        damage(lake / "b.parquet")
    number = Numeric(name="x", center=0, scale=1, missing=False)
    columns = [number, Hashed(name="text", family="text")]
    schema = Schema(columns=columns, label=Label(name="y"), weight=None, hash_bits=10, hive={})
    reading = Reading(Encoder(schema), SLICE_ROWS, seed=0, **memory)
    sources = []
    for file in discover(str(lake)):
        footer = read_footer(file)
        sources += [Source(one, file, footer) for one in partitions(file, footer)]

    def read_some():
        groups = [ReadGroup(lambda: sources)]
        with Workers() as workers:
            streamed = stream(groups, reading, workers, as_is)
            try:
                blocks = next(streamed)
                if is_damaged:
                    with pytest.raises(BadPartition, match="cannot decode"):
                        list(blocks)
                else:
                    next(blocks)
            finally:
                streamed.close()

    assert held_bytes(read_some) < SMALL


def test_parsed_footers_are_freed_with_their_last_reader(lake):
    """A footer takes a kilobyte for each column of each row group; pyarrow remembers its schema."""
    _seen.clear()
    files, bad = discover(str(lake)), BadFiles(skip=False)
    gc.collect()
    gc.disable()
    try:
        before = n_footers()
        read_summaries(files, bad, Workers())
        draw_sample(files, NAMES, {}, label="y", seed=0, bad=bad)
        assert read_footer(files[0]).empty(NAMES) == set()
        assert n_footers() == before
    finally:
        gc.enable()


def n_footers():
    return sum(isinstance(one, pq.FileMetaData) for one in gc.get_objects())
