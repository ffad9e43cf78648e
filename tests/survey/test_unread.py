"""Sound files are not called broken for their types; what is not read is named with its type."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakes import write_files
from onepass.errors import DataError, EmptyLake
from onepass.survey.profile import Choice
from onepass.survey.survey import survey
from small import train

N = 40

NESTED = {
    "tags": pa.array([[["a", "b"] * (i % 3)] for i in range(N)]),
    "points": pa.array([[{"x": 1.0, "y": i}] for i in range(N)]),
    "props": pa.array([[("k", True)] for i in range(N)], pa.map_(pa.string(), pa.bool_())),
    "blob": pa.array([b"\0x"] * N),
}

NUMBERS = {"a": np.arange(N) * 0.5, "y": np.arange(N) % 7.0}


def lake_of(tmp_path, columns):
    return str(write_files(tmp_path / "lake", {"a.parquet": pa.table(columns)}))


@pytest.mark.parametrize("skip_bad", [True, False])
def test_lake_of_nested_and_binary_columns_is_not_broken_but_has_no_usable_column(
    tmp_path, skip_bad
):
    with pytest.raises(DataError) as caught:
        survey(lake_of(tmp_path, NESTED), label=None, skip_bad=skip_bad)
    said = str(caught.value)
    assert said.startswith("no column of the lake")
    assert "bad" not in said
    assert "epair" not in said
    for name, dtype in (("tags", "list<"), ("points", "list<"), ("props", "map<")):
        assert f"'{name}': type {dtype}" in said
    assert "'blob': type binary cannot be used" in said
    assert caught.value.exit_code == 3


def test_lake_whose_columns_the_job_leaves_out_says_so(tmp_path):
    with pytest.raises(DataError, match="'a': the job leaves it out; 'y': the job leaves it out"):
        survey(lake_of(tmp_path, NUMBERS), label=None, choice=Choice(exclude=("a", "y")))


def test_warning_names_the_columns_whose_types_cannot_be_used(tmp_path):
    lake = lake_of(tmp_path, NUMBERS | NESTED)
    (warning, *_) = survey(lake, label="y").warnings
    assert warning.startswith("columns left out, because the type cannot be used: tags (list<")
    for name in NESTED:
        assert f"{name} (" in warning
    (warning, *_) = survey(lake, label="y", choice=Choice(exclude=tuple(NESTED)[1:])).warnings
    assert warning.startswith("column left out, because the type cannot be used: tags (list<")
    found = survey(lake, label="y", choice=Choice(exclude=tuple(NESTED)))
    assert not any("cannot be used" in warning for warning in found.warnings)


def test_many_such_columns_are_counted(tmp_path):
    blobs = {f"blob_{i:02}": NESTED["blob"] for i in range(20)}
    (warning, *_) = survey(lake_of(tmp_path, NUMBERS | blobs), label="y").warnings
    assert warning.endswith("blob_07 (binary), ... (20 in all)")


def test_training_with_nothing_to_learn_from_says_why(tmp_path):
    lake = lake_of(tmp_path, NESTED | {"y": NUMBERS["y"]})
    with pytest.raises(ValueError, match=r"no column is left to learn from \('tags': type list"):
        train({"lake": lake, "label": "y", "model": str(tmp_path / "model")})


def test_lake_without_a_usable_file_says_what_is_wrong_with_the_first(tmp_path):
    (tmp_path / "lake").mkdir()
    for name in ("a", "b", "c"):
        (tmp_path / f"lake/{name}.parquet").write_bytes(b"PAR1" + bytes(50))
    lake = str(tmp_path / "lake")
    with pytest.raises(EmptyLake) as caught:
        survey(lake, label=None, skip_bad=True)
    assert str(caught.value).startswith(
        f"the lake {lake!r} has no usable Parquet file; 3 files cannot be used, first a.parquet: "
        "expected a Parquet file ending in"
    )
    pq.write_table(pa.table(NUMBERS).slice(0, 0), tmp_path / "lake/d.parquet")
    words = r"1 usable Parquet file, but no row; 3 files cannot be used, first a\.parquet: "
    with pytest.raises(EmptyLake, match=words):
        survey(lake, label=None, skip_bad=True)
