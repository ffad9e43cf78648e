"""Discover: the files of a lake, their keys, and the values of their key=value folders."""

from __future__ import annotations

import os

import pytest

from onepass.errors import EmptyLake, JobError
from onepass.lake.discover import discover


def touch(folder, *names):
    """Create empty files, since discovery reads names only."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def keys(lake):
    return [file.key for file in discover(str(lake))]


def test_directory_is_searched_recursively_and_sorted_by_key(tmp_path):
    names = ["z.parquet", "a/b/c.PARQUET", "a/x.parq", "m=1/y.pq"]
    touch(tmp_path, *names, "a/readme.txt", "a/b/table.csv", "parquet")
    assert keys(tmp_path) == sorted(names)
    assert all(os.path.isfile(file.location) for file in discover(str(tmp_path)))


def test_hidden_and_temporary_files_are_left_out_but_key_value_folders_kept(tmp_path):
    touch(
        tmp_path,
        *("_SUCCESS", "_metadata", ".x.parquet.crc", ".x.parquet", "_x.parquet"),
        *("_temporary/0/a.parquet", ".ipynb_checkpoints/b.parquet", "a/_delta_log/c.parquet"),
        *("_col=1/kept.parquet", "a/_col=2/kept.parquet"),
    )
    kept = ["_col=1/kept.parquet", "a/_col=2/kept.parquet"]
    assert keys(tmp_path) == keys(f"{tmp_path}/**") == kept
    assert keys(f"{tmp_path}/*") == kept


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("date=2026-*/x*.parquet", ["date=2026-01/x1.parquet", "date=2026-02/x2.parquet"]),
        ("date=2026-0[2-9]", ["date=2026-02/x2.parquet", "date=2026-02/y.parquet"]),
        ("*/y.parquet", ["date=2026-02/y.parquet"]),
        ("**/x[03].parquet", ["date=2025-01/x0.parquet", "deep/er/x3.parquet"]),
        ("**/er/**", ["deep/er/x3.parquet"]),
        ("deep/**/x3.parquet", ["er/x3.parquet"]),
    ],
)
def test_glob_finds_what_it_says_named_from_its_fixed_part(tmp_path, monkeypatch, pattern, found):
    touch(
        tmp_path,
        *("date=2025-01/x0.parquet", "date=2026-01/x1.parquet", "date=2026-01/x1.csv"),
        *("date=2026-02/x2.parquet", "date=2026-02/y.parquet", "deep/er/x3.parquet"),
    )
    assert keys(tmp_path / pattern) == found
    monkeypatch.chdir(tmp_path)
    assert keys(pattern) == found


def test_directory_whose_name_looks_like_a_glob_is_a_directory(tmp_path):
    touch(tmp_path / "lake[1]", "a.parquet")
    assert keys(tmp_path / "lake[1]") == ["a.parquet"]


def test_one_file_is_a_lake_whatever_its_name(tmp_path):
    touch(tmp_path, "k=7/_rows.bin")
    (file,) = discover(str(tmp_path / "k=7/_rows.bin"))
    assert (file.key, file.hive) == ("_rows.bin", (("k", "7"),))


def test_list_of_files_is_known_by_full_path_and_holds_each_once(tmp_path):
    touch(tmp_path, "k=1/a.parquet", "b.parquet", "c.parquet")
    a, b = f"{tmp_path}/k=1/a.parquet", f"{tmp_path}/b.parquet"
    files = discover([b, a, b, f"{tmp_path}/./b.parquet"])
    assert [file.key for file in files] == sorted([a, b])
    assert [file.hive for file in files if file.key == a] == [(("k", "1"),)]


def test_listed_file_is_the_same_whatever_directory_it_is_named_from(tmp_path, monkeypatch):
    touch(tmp_path, "k=1/a.parquet", "k=1/here/x")
    monkeypatch.chdir(tmp_path / "k=1" / "here")
    whole = f"{tmp_path}/k=1/a.parquet"
    assert discover(["../a.parquet", whole]) == discover([whole])


def test_folders_are_percent_decoded_and_the_null_partition_is_null(tmp_path):
    touch(
        tmp_path, "city=S%C3%A3o%20Paulo/t=a%3Db/p.parquet", "city=__HIVE_DEFAULT_PARTITION__/q.pq"
    )
    city, null = discover(str(tmp_path))
    assert city.hive == (("city", "São Paulo"), ("t", "a=b"))
    assert null.hive == (("city", None),)


@pytest.mark.parametrize("lake", ["k=1/m=2", "k=1/m=2/*.parquet", "k=1/m=2/**", "k=1/m=*"])
def test_partition_folder_read_as_a_lake_still_knows_its_keys(tmp_path, lake):
    """Evaluating or scoring a single day must see the columns that the model was trained with."""
    touch(tmp_path, "k=1/m=2/a.parquet", "k=1/m=2/a.txt")
    (file,) = discover(f"{tmp_path}/{lake}")
    assert file.hive == (("k", "1"), ("m", "2"))


def test_links_in_circles_neither_hang_nor_multiply_files(tmp_path):
    touch(tmp_path, "a/b/x.parquet")
    for name in ("up", "round", "again"):
        (tmp_path / "a/b" / name).symlink_to(tmp_path, target_is_directory=True)
    assert keys(tmp_path) == keys(f"{tmp_path}/**/*.parquet") == ["a/b/x.parquet"]


def test_linked_folder_outside_the_lake_is_read(tmp_path):
    touch(tmp_path / "elsewhere", "x.parquet")
    (tmp_path / "lake").mkdir()
    (tmp_path / "lake/linked").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert keys(tmp_path / "lake") == keys(f"{tmp_path}/lake/**") == ["linked/x.parquet"]


def test_folder_that_cannot_be_listed_is_an_error_not_a_smaller_lake(tmp_path, monkeypatch):
    touch(tmp_path, "a/x.parquet", "locked/y.parquet")
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(JobError, match=r"locked.*Permission denied"):
        discover(str(tmp_path))


def test_file_name_that_is_not_utf8_is_a_job_error_because_no_ledger_can_hold_it(tmp_path):
    (tmp_path / os.fsdecode(b"\xff.parquet")).touch()
    with pytest.raises(JobError, match="is not UTF-8; rename the file") as caught:
        discover(str(tmp_path))
    str(caught.value).encode()


def test_files_of_a_relative_lake_are_found_from_another_directory(tmp_path, monkeypatch):
    """A worker of a cluster opens them from its own directory."""
    touch(tmp_path / "lake", "a.parquet", "k=1/b.parquet")
    monkeypatch.chdir(tmp_path)
    found = [discover(lake) for lake in ("lake", "lake/**", "lake/a.parquet", ["lake/a.parquet"])]
    monkeypatch.chdir("/")
    assert all(os.path.isfile(file.location) for files in found for file in files)


def test_missing_lake_or_listed_file_is_a_job_error(tmp_path):
    touch(tmp_path, "a.parquet")
    for lake in (f"{tmp_path}/no", [f"{tmp_path}/a.parquet", f"{tmp_path}/no"], [str(tmp_path)]):
        with pytest.raises(JobError, match=r"/no|not a file"):
            discover(lake)


def test_lake_without_parquet_is_empty(tmp_path):
    touch(tmp_path, "a.csv", "_b.parquet")
    for lake in (str(tmp_path), f"{tmp_path}/*", f"{tmp_path}/x*.parquet", []):
        with pytest.raises(EmptyLake, match="no Parquet file"):
            discover(lake)
