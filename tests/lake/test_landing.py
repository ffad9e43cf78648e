"""Landing: which files of a lake are announced, when, and how often."""

from __future__ import annotations

import random

import pytest

from onepass.errors import JobError
from onepass.lake.landing import Landed, Landing, stamps

SETTLE = 5.0


def looked(landing, found, now):
    """Look once, and return the new and the replaced files that are announced."""
    landing.look(found, now)
    landed = landing.take(now)
    return sorted(landed.new), sorted(landed.replaced)


def test_a_file_is_announced_once_it_has_not_changed_for_the_settling_time():
    landing = Landing(SETTLE)
    assert looked(landing, {"a": (1, 1)}, 0) == ([], [])
    assert looked(landing, {"a": (2, 2)}, 4) == ([], [])
    assert looked(landing, {"a": (2, 2)}, 8) == ([], [])
    assert landing.next_time() == 4 + SETTLE
    assert looked(landing, {"a": (2, 2)}, 9) == (["a"], [])
    assert looked(landing, {"a": (2, 2)}, 99) == ([], [])
    assert landing.next_time() is None


def test_a_file_that_is_written_again_is_replaced_and_one_that_comes_back_is_new():
    landing = Landing(0.0)
    assert looked(landing, {"a": (1, 1), "b": (1, 1)}, 0) == (["a", "b"], [])
    assert looked(landing, {"a": (1, 2)}, 1) == ([], ["a"])
    assert looked(landing, {"a": (1, 2), "b": (1, 1)}, 2) == (["b"], [])


def test_files_that_land_together_are_one_event_though_some_still_change():
    landing = Landing(SETTLE)
    files = {f"f{i:04d}": (1, 1) for i in range(3000)}
    growing = {"growing": (0, 0)}
    assert looked(landing, files | growing, 0) == ([], [])
    growing["growing"] = (9, 9)
    assert looked(landing, files | growing, SETTLE) == ([], [])
    new, replaced = looked(landing, files | growing, 2 * SETTLE)
    assert (len(new), replaced) == (3001, [])


def test_a_file_that_never_rests_delays_the_others_by_ten_settling_times_at_most():
    landing, now = Landing(SETTLE), 0.0
    while looked(landing, {"still": (1, 1), "log": (int(now), 0)}, now) == ([], []):
        now += 1.0
        assert landing.next_time() <= 11 * SETTLE
    assert now == 11 * SETTLE


def test_a_watch_that_begins_later_knows_what_is_there_but_sees_it_change():
    landing = Landing(SETTLE)
    landing.know({"a": (1, 1), "half": (1, 1)})
    assert looked(landing, {"a": (1, 1), "half": (2, 2)}, 0) == ([], [])
    assert looked(landing, {"a": (1, 1), "half": (2, 2)}, 5) == ([], ["half"])


@pytest.mark.parametrize("seed", range(20))
def test_every_content_that_rests_is_announced_exactly_once(seed):
    rng = random.Random(seed)
    landing, files, told = Landing(2.0), {}, []
    for now in range(200):
        for key in rng.sample("abcdef", rng.randrange(3)) if now < 150 else ():
            files[key] = (rng.randrange(100), now)
        landing.look(dict(files), now)
        landed = landing.take(now)
        told += [(key, files[key]) for key in (*landed.new, *landed.replaced)]
    assert len(told) == len(set(told))
    assert {key: stamp for key, stamp in files.items() if (key, stamp) in told} == files


def test_what_could_not_be_sent_grows_and_a_new_file_stays_new():
    landed = Landed(new={"a": 1})
    landed.add(Landed(new={"b": 2}, replaced={"a": 10, "c": 3}))
    assert (landed.new, landed.replaced) == ({"a": 10, "b": 2}, {"c": 3})
    assert landed.n_bytes == 15


def test_only_files_that_training_reads_are_listed(tmp_path):
    for name in ("_tmp.parquet", ".hidden.parquet", "x.parquet.tmp", "d=1/_SUCCESS", "d=1/a.pq"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"abc")
    found = stamps(str(tmp_path))
    assert list(found) == ["d=1/a.pq"]
    assert found["d=1/a.pq"][0] == 3
    # A rename into place is a new file with its whole content.
    (tmp_path / "x.parquet.tmp").rename(tmp_path / "x.parquet")
    assert sorted(stamps(str(tmp_path))) == ["d=1/a.pq", "x.parquet"]


def test_an_empty_lake_has_no_files_and_a_missing_one_is_an_error(tmp_path):
    assert stamps(str(tmp_path)) == {}
    with pytest.raises(JobError, match="does not exist"):
        stamps(str(tmp_path / "missing"))


def test_objects_are_told_apart_by_size_and_etag(bucket, upload, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.parquet").write_bytes(b"one")
    lake = upload(tmp_path / "data", "landing")
    first = stamps(lake)
    assert list(first) == ["a.parquet"]
    assert first["a.parquet"][0] == 3
    (tmp_path / "data" / "a.parquet").write_bytes(b"two")
    upload(tmp_path / "data", "landing")
    assert stamps(lake) != first
