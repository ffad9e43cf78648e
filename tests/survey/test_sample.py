"""Sample: bounded, and spread evenly over files, row groups and rows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from lakes import write_files
from onepass.lake.discover import discover
from onepass.survey.bad_files import BadFiles
from onepass.survey.cells import SAMPLE_FILES, SAMPLE_GROUPS
from onepass.survey.sample import SAMPLE_ROWS, draw_sample


def sample_of(lake):
    """A sample of the column ``at``."""
    files, bad = discover(str(lake)), BadFiles(skip=False)
    return draw_sample(files, ["at"], {}, label=None, seed=0, bad=bad)


def test_large_row_group_is_sampled_from_end_to_end_within_the_bound(tmp_path):
    n = 3_000_000
    write_files(tmp_path, {"p.parquet": pa.table({"at": np.arange(n)})}, row_group_size=n)
    sample = sample_of(tmp_path)
    at = sample.rows["at"].to_numpy()
    assert 0.9 * SAMPLE_ROWS < len(at) <= SAMPLE_ROWS
    assert len(np.unique(at)) == len(at)
    spread = np.histogram(at, bins=10, range=(0, n))[0]
    assert spread.min() > 0.9 * spread.max()


def test_many_files_and_row_groups_are_sampled_evenly_within_the_bound(tmp_path):
    n_files, n_groups = 70, 6
    for i in range(n_files):
        at = np.arange(300) + 1000 * i
        write_files(tmp_path, {f"{i:03}.parquet": pa.table({"at": at})}, row_group_size=50)
    sample = sample_of(tmp_path)
    at = sample.rows["at"].to_numpy()
    file, group = at // 1000, at % 1000 // 50
    assert len(np.unique(file)) == SAMPLE_FILES < n_files
    assert {0, n_files - 1} <= set(file)
    assert {len(np.unique(group[file == f])) for f in file} == {SAMPLE_GROUPS}
    assert n_groups > SAMPLE_GROUPS
    place = np.unique(file * n_groups + group, return_inverse=True)[1]
    np.testing.assert_array_equal(sample.place, place)
    assert sample.n_places == SAMPLE_FILES * SAMPLE_GROUPS
