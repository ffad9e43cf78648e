"""The look at all labels of a lake: every class has a name before anything is trained."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from lakes import corrupt_pages, number_table, write_files
from onepass.encode.classes import MAX_CLASSES
from onepass.errors import BadPartition, JobError
from onepass.lake.discover import discover
from onepass.stream import label_slices
from onepass.stream.workers import Workers
from onepass.survey import label_scan
from onepass.survey.bad_files import BadFiles
from onepass.survey.cells import SAMPLE_FILES
from onepass.survey.footers import read_summaries
from onepass.survey.label_scan import LabelScan
from onepass.survey.survey import survey

N_FILES = SAMPLE_FILES + 8


def write(folder, labels, **options):
    """A lake with a file for each list of labels."""
    files = {}
    for i, label in enumerate(labels):
        label = label if isinstance(label, pa.Array) else pa.array(label)
        x = np.random.default_rng(i).normal(size=len(label))
        files[f"p{i:04}.parquet"] = pa.table({"x": x, "y": label})
    return str(write_files(folder, files, **options))


def look(lake, **options):
    return survey(lake, label="y", **options)


def scan(lake, kind="text", bad=None, **options):
    bad = bad or BadFiles(skip=False)
    with Workers() as workers:
        found = read_summaries(discover(lake), bad, workers)
        return LabelScan(found, "y", bad, workers, **options).take(kind)


def unsampled(common, rare):
    """Labels of many files, of which the sample leaves out the only one with a rare class."""
    rows = [list(common) * 10 for _ in range(N_FILES)]
    rows[2] = [*rows[2], *rare]
    return rows


def test_classes_that_the_sample_has_not_seen_are_named_with_their_rows(tmp_path):
    rare = ["smurf", "teardrop", "smurf"]
    found = look(write(tmp_path, unsampled(["normal", "neptune", "back"], rare))).label
    assert found.label.classes == ["back", "neptune", "normal", "smurf", "teardrop"]
    assert found.distinct == 5
    n_rows = 3 * 10 * N_FILES + 3
    assert found.class_shares["smurf"] == pytest.approx(2 / n_rows)
    assert not any("one row each" in warning for warning in found.warnings)


@pytest.mark.parametrize("loss", ["auto", "logistic", "hinge"])
def test_third_class_decides_between_two_classes_and_several(tmp_path, loss):
    lake = write(tmp_path, unsampled(["no", "yes"], ["maybe"]))
    if loss == "auto":
        assert look(lake).label.loss == "softmax"
    else:
        with pytest.raises(JobError, match=r"has 3: maybe, no \(400 rows\), yes .*--unknown-class"):
            look(lake, loss=loss)


def test_labels_that_are_null_outside_of_the_sample_are_noticed(tmp_path):
    lake = write(tmp_path, unsampled(["no", "yes"], [None, "", " "]))
    found = look(lake)
    assert found.label.null_share == pytest.approx(3 / (20 * N_FILES + 3))
    assert any("of the labels are null or empty; --on-null-label" in w for w in found.warnings)
    numbers = write(tmp_path / "numbers", unsampled([0.5, 1.5, 2.5], [None]))
    assert look(numbers).label.null_share == pytest.approx(1 / (30 * N_FILES + 1))


def test_further_number_beside_two_classes_is_the_users_choice(tmp_path):
    lake = write(tmp_path, unsampled([0, 1], [2, 7, 2]))
    says = r"0 or 1 in the sample, but the lake also has 2 \(2 rows\), 7; --loss softmax.*squared"
    with pytest.raises(JobError, match=says):
        look(lake)
    assert look(lake, loss="softmax").label.label.classes == ["0", "1", "2", "7"]
    assert look(lake, loss="squared").label.loss == "squared"
    kept = look(lake, classes=["0", "1"], unknown_class="drop").label
    assert (kept.loss, kept.label.classes, kept.label.unknown) == ("logistic", ["0", "1"], "drop")


def test_named_classes_are_compared_with_the_whole_lake(tmp_path):
    lake = write(tmp_path, unsampled(["a", "b"], ["d", "c", "d"]))
    with pytest.raises(JobError, match=r"names a, b, but .* also has c, d \(2 rows\);"):
        look(lake, classes=["a", "b"])


STORED = {
    "coded": (lambda v: pa.array(v), {}),
    "plain": (lambda v: pa.array(v), {"use_dictionary": False}),
    "dictionary": (lambda v: pa.array(v).dictionary_encode(), {}),
    "view": (lambda v: pa.array(v).cast(pa.string_view()), {}),
    "numbers": (lambda v: pa.array([None if t is None else int(t) for t in v], pa.int8()), {}),
}


@pytest.mark.parametrize("stored", STORED)
def test_rows_of_each_class_are_exact_however_they_are_stored(tmp_path, stored):
    rng = np.random.default_rng(3)
    make, options = STORED[stored]
    # One row group is read in several slices.
    sizes, expected, files = (3, 150_000, 1000), {}, []
    for n in sizes:
        values = [None if v == 5 else str(v) for v in rng.geometric(0.4, n).clip(max=30)]
        for v in values:
            if v is not None:
                expected[v] = expected.get(v, 0) + 1
        files.append(make(values))
    kind = "number" if stored == "numbers" else "text"
    found = scan(write(tmp_path, files, row_group_size=70_000, **options), kind)
    assert found.counts == expected
    assert list(found.counts) == sorted(expected, key=int if kind == "number" else str)
    assert (found.is_complete, found.n_null) == (True, sum(sizes) - sum(expected.values()))


def test_look_at_unique_texts_ends_early_and_says_so(tmp_path):
    unique = [str(k) for k in range(MAX_CLASSES + 1)]
    lake = write(tmp_path, unsampled(["a", "b"], unique))
    looked = []
    found = scan(lake, advanced=lambda n, total: looked.append(n))
    assert (found.counts, found.has_too_many) == ({}, True)
    assert looked == [20, 20]
    with pytest.raises(JobError, match="text with more than 1,000 different values"):
        look(lake)
    with pytest.raises(JobError, match="has more than 1,000 classes"):
        look(lake, loss="softmax")


def test_lake_beyond_the_bound_is_looked_at_in_evenly_spaced_files(tmp_path, monkeypatch):
    lake = write(tmp_path, [[f"c{i}"] * 10 for i in range(20)])
    monkeypatch.setattr(label_scan, "SCAN_ROWS", 50)
    found = scan(lake)
    assert list(found.counts) == ["c0", "c10", "c14", "c19", "c5"]
    assert not found.is_complete
    monkeypatch.setattr(label_slices, "_SLICE_ROWS", 20)
    big = write(tmp_path / "big", [["a"] * 60 + ["b"]], row_group_size=20)
    one = scan(big)
    assert (list(one.counts), one.is_complete) == (["a"], False)


def test_class_that_only_the_sample_has_seen_is_a_class(tmp_path, monkeypatch):
    lake = write(tmp_path, [["a", "b"] * 10 + ["rare"] * (i == 3) for i in range(8)])
    monkeypatch.setattr(label_scan, "SCAN_ROWS", 50)
    found = look(lake).label
    assert found.label.classes == ["a", "b", "rare"]
    assert 0 < found.class_shares["rare"] < 0.1


def test_class_of_a_file_that_is_skipped_for_its_labels_is_no_class(tmp_path):
    rows = [["a", "b"] * 40 for _ in range(4)]
    rows[2] = ["skipped"] * 80
    files = {
        f"p{i:04}.parquet": number_table(80, i).set_column(4, "y", pa.array(label))
        for i, label in enumerate(rows)
    }
    write_files(tmp_path, files, row_group_size=10)
    # The second of eight row groups, of which four others are sampled.
    corrupt_pages(tmp_path / "p0002.parquet")
    found = look(str(tmp_path), skip_bad=True)
    assert [error.path for error in found.bad] == ["p0002.parquet"]
    assert found.label.label.classes == ["a", "b"]


def test_progress_counts_every_row_once(tmp_path):
    steps = []
    scan(write(tmp_path, [["a"] * n for n in (5, 7, 11)]), advanced=lambda *n: steps.append(n))
    assert steps == [(5, 23), (7, 23), (11, 23)]


def test_labels_in_a_bucket_are_looked_at_in_a_bounded_number_of_files(
    upload, tmp_path, monkeypatch
):
    write(tmp_path / "lake", [[f"c{i}"] * 10 for i in range(8)])
    url = upload(tmp_path / "lake", "lakes/labels")
    found = scan(url)
    assert (found.counts, found.is_complete) == ({f"c{i}": 10 for i in range(8)}, True)
    monkeypatch.setattr(label_scan, "SCAN_REMOTE_FILES", 2)
    assert scan(url).counts == {"c0": 10, "c7": 10}


@pytest.mark.parametrize("skip", [False, True])
def test_damaged_labels_of_a_file_follow_on_bad(tmp_path, skip):
    files = {f"p{i:04}.parquet": number_table(60, i, classes=True) for i in range(N_FILES)}
    write_files(tmp_path, files, row_group_size=20)
    corrupt_pages(tmp_path / "p0002.parquet")
    if not skip:
        with pytest.raises(BadPartition, match=r"p0002.parquet, row group 1, column 'y'"):
            look(str(tmp_path))
        return
    found = look(str(tmp_path), skip_bad=True)
    assert [error.path for error in found.bad] == ["p0002.parquet"]
    assert found.label.loss == "logistic"


def test_labels_of_regressions_are_not_looked_at(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("no look is due")

    monkeypatch.setattr(LabelScan, "take", refuse)
    lake = write(tmp_path, [[0.5, 1.5, 2.5, -1.0]] * 3)
    assert look(lake).label.loss == "squared"
    flags = write(tmp_path / "flags", [[True, False]] * 3)
    assert look(flags).label.label.classes == ["false", "true"]
