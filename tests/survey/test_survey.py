"""Survey: the contents of a lake, the use of its columns, and its files that differ."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakes import SAMPLES, number_table, write_files
from onepass import train
from onepass.errors import BadPartition, DataError, EmptyLake, JobError
from onepass.lake.discover import discover
from onepass.stream.workers import Workers
from onepass.survey.bad_files import BadFiles
from onepass.survey.choice import Choice
from onepass.survey.naming import naming
from onepass.survey.sample import draw_sample
from onepass.survey.survey import survey

N = 200


def rows(n=N, seed=0, **columns):
    """A label, a number, and further columns."""
    rng = np.random.default_rng(seed)
    return pa.table({"y": rng.normal(size=n), "a": rng.normal(size=n)} | columns)


def words(n=N):
    return pa.array(np.random.default_rng(9).choice(["u", "v", "w"], n))


def write(folder, *tables, **options):
    files = {f"p{i:03}.parquet": table for i, table in enumerate(tables)}
    return str(write_files(folder, files, **options))


def look(lake, *, label="y", **options):
    wishes = {key: tuple(options.pop(key)) for key in Choice.__slots__ if key in options}
    return survey(str(lake), label=label, choice=Choice(**wishes), **options)


def planned(found):
    return {column.name: column.planned for column in found.columns}


def test_sample_lake_is_profiled_as_it_was_generated():
    found = look(SAMPLES / "deliveries", label="minutes", exclude=["late"])
    assert planned(found) == {
        "delivery_id": "left out",
        "ordered_at": "time (trend, hour, weekday)",
        "shop_id": "hashed",
        "courier": "hashed",
        "vehicle": "one-hot (5 levels)",
        "zone": "one-hot (12 levels)",
        **dict.fromkeys(["distance_m", "weight_kg", "basket_value", "rain_mm"], "numeric"),
        **dict.fromkeys(["sensor_drift", "items"], "numeric"),
        "is_express": "bool",
        "app_version": "left out",
        "late": "left out",
        "date": "time (trend, weekday)",
    }
    assert [w.split(":")[0] for w in found.warnings] == ["delivery_id", "shop_id", "app_version"]
    table = pq.read_table(SAMPLES / "deliveries")
    nulls = {column.name: column.null_share for column in found.columns if column.use}
    for name in sorted(set(nulls) - {"date"}):
        assert nulls[name] == pytest.approx(table.column(name).null_count / len(table))
    assert (found.n_rows, found.hive, found.label.loss) == (len(table), {"date": "date"}, "squared")
    assert found.label.label.center == pytest.approx(np.mean(table["minutes"].to_numpy()), rel=0.02)
    assert look(SAMPLES / "deliveries", label="late", exclude=["minutes"]).label.loss == "logistic"


def test_user_overrules_the_survey():
    wishes = {
        "numeric": ["shop_id", "delivery_id"],
        "categorical": ["items"],
        "exclude": ["late", "date"],
    }
    found = planned(look(SAMPLES / "deliveries", label="minutes", **wishes))
    assert found["shop_id"] == found["delivery_id"] == "numeric"
    assert found["items"].startswith("one-hot")
    assert found["late"] == found["date"] == "left out"
    only = look(SAMPLES / "deliveries", label="minutes", features=["zone", "date"])
    assert {c.name for c in only.columns if c.use} == {"zone", "date"}


@pytest.mark.parametrize("role", ["label", "weight"])
def test_label_or_weight_that_does_not_exist_is_a_job_error_that_shows_the_columns(tmp_path, role):
    write(tmp_path / "k=1", rows())
    with pytest.raises(JobError, match=r"no column 'nope' in .* are \['a', 'k', 'y'\]"):
        look(tmp_path, **{role: "nope"})


@pytest.mark.parametrize("flag", ["features", "exclude", "numeric", "categorical"])
def test_choice_of_unknown_columns_is_a_job_error_that_shows_the_columns(tmp_path, flag):
    write(tmp_path / "k=1", rows())
    with pytest.raises(JobError, match=rf"--{flag} names \['nope'\], .* has \['a', 'k', 'y'\]"):
        look(tmp_path, **{flag: ["a", "nope"]})


@pytest.mark.parametrize("wish", [{"label": "k"}, {"label": "y", "weight": "k"}])
def test_label_or_weight_as_folder_is_a_job_error(tmp_path, wish):
    write(tmp_path / "k=1", rows())
    with pytest.raises(JobError, match="'k' is a key=value folder"):
        look(tmp_path, **wish)


@pytest.mark.parametrize(
    ("values", "kind", "use"),
    [
        (["1", "02", "-3"], "integer", "numeric"),
        (["1", "2", "__HIVE_DEFAULT_PARTITION__"], "integer", "numeric"),
        (["2026-01-01", "2026-01-09", "2026-02-28"], "date", "time (trend, weekday)"),
        (["2026-01-01", "2026-13-09", "x"], "text", "one-hot (3 levels)"),
        (["2026-01-01", "2026-01-09T12%3A00", "-"], "text", "time (trend, hour, weekday)"),
        (["1", "2.5", "3"], "text", "numeric"),
        (["", "a", "b%20c"], "text", "one-hot (2 levels)"),
        (["__HIVE_DEFAULT_PARTITION__"] * 2, "integer", "left out"),
        (["7", "7"], "integer", "left out"),
    ],
)
def test_folders_are_typed_by_all_their_values(tmp_path, values, kind, use):
    for i, value in enumerate(values):
        write_files(tmp_path, {f"k={value}/{i}.parquet": rows(seed=i)})
    found = look(tmp_path)
    assert (found.hive, planned(found)["k"]) == ({"k": kind}, use)


def test_column_that_is_the_label_with_a_little_noise_is_warned_about(tmp_path):
    table = rows(2000)
    noise = np.random.default_rng(1).normal(size=2000) * 1e-3
    table = table.append_column("leak", [table["y"].to_numpy() * 3 + noise])
    (warning,) = look(write(tmp_path, table)).warnings
    assert warning.startswith("leak: alone explains 100.0% of y")


def test_lake_sorted_by_label_across_files_is_warned_about_and_a_shuffled_one_is_not(tmp_path):
    table = rows(2000)
    for name, whole in (("mixed", table), ("sorted", table.sort_by("y"))):
        write(tmp_path / name, *(whole.slice(i * 250, 250) for i in range(8)))
    assert look(tmp_path / "mixed").warnings == []
    (warning,) = look(tmp_path / "sorted").warnings
    assert "sorted or grouped" in warning


ODD = {
    "missing": (rows().drop_columns(["a"]), "a", "missing here"),
    "label missing": (rows().drop_columns(["y"]), "y", "missing here"),
    "text": (rows(a=words()), "a", "type string here, but a number column"),
    "label of text": (rows(y=words()), "y", "type string here, but a number column"),
    "nested": (rows(a=[[1.0]] * N), "a", "type list<element: double> here, but a number column"),
    "twice": (rows().append_column("a", [[1.0] * N]), "a", "more than once"),
    "label twice": (rows().append_column("y", [[1.0] * N]), "y", "more than once"),
}


@pytest.mark.parametrize("at", [0, 1, 2])
@pytest.mark.parametrize("kind", ODD)
def test_odd_file_is_named_with_its_column_wherever_it_lies(tmp_path, kind, at):
    odd, column, reason = ODD[kind]
    tables = [rows(seed=1), rows(seed=2)]
    tables.insert(at, odd)
    lake = write(tmp_path, *tables)
    with pytest.raises(BadPartition, match=reason) as caught:
        look(lake)
    assert (caught.value.path, caught.value.column) == (f"p00{at}.parquet", column)
    found = look(lake, skip_bad=True)
    assert [error.path for error in found.bad] == [f"p00{at}.parquet"]
    assert (found.n_files, found.n_rows, planned(found)) == (2, 2 * N, {"a": "numeric"})
    if column != "y":
        assert look(lake, exclude=["a"]).n_files == 3


def test_column_of_few_files_is_left_out_and_all_files_are_kept(tmp_path):
    for at in (0, 3):
        tables = [rows(seed=i) for i in range(3)]
        tables.insert(at, rows(new=words()))
        lake = write(tmp_path / str(at), *tables)
        found = look(lake, skip_bad=True)
        assert (found.n_files, found.bad) == (4, [])
        assert {c.name for c in found.columns if c.use} == {"a"}
        assert found.warnings == ["new: only in 1 of 4 files, left out"]
        with pytest.raises(BadPartition, match="column 'new': the column is missing here"):
            look(lake, features=["a", "new"])


def test_file_outside_the_folders_of_the_others_is_named(tmp_path):
    write_files(tmp_path, {f"{name}.parquet": rows(seed=1) for name in ("k=1/p", "k=2/p", "p")})
    with pytest.raises(BadPartition, match="key=value folder") as caught:
        look(tmp_path)
    assert (caught.value.path, caught.value.column) == ("p.parquet", "k")
    assert look(tmp_path, exclude=["k"]).n_files == 3


MIXED = {
    "text": [
        *(words(), words().dictionary_encode(), pa.nulls(N)),
        *(words().cast(pa.large_string()), words().cast(pa.string_view())),
    ],
    "number": [
        *(pa.array(np.arange(N)), pa.array(np.arange(N) / 2), pa.nulls(N)),
        *(pa.array(np.arange(N, dtype="f2")), pa.array(np.arange(N, dtype="u8"))),
        *(pa.array(range(N)).cast(pa.decimal128(21, 2)), pa.array(range(N)).dictionary_encode()),
    ],
    "time": [
        *(pa.array([dt.date(2026, 1, 1)] * N), pa.array(range(N)).cast(pa.timestamp("s"))),
        *(pa.array(range(N)).cast(pa.timestamp("ns", "Asia/Tokyo")), pa.nulls(N)),
    ],
    "bool": [pa.array([True, False] * (N // 2)), pa.nulls(N)],
}


@pytest.mark.parametrize("kind", MIXED)
def test_types_of_one_kind_may_differ_between_files(tmp_path, kind):
    for order in (1, -1):
        lake = write(tmp_path / str(order), *(rows(x=x) for x in MIXED[kind][::order]))
        expected = {"text": "one-hot (3 levels)", "number": "numeric", "bool": "bool"}
        assert planned(look(lake))["x"] == expected.get(kind, "time (trend, hour, weekday, year)")


def test_ids_stay_ids_where_some_files_store_them_narrower(tmp_path):
    ids = np.random.default_rng(0).integers(0, 100, 2 * N)
    tables = [rows(shop_id=ids[:N].astype("i4")), rows(shop_id=ids[N:])]
    assert planned(look(write(tmp_path, *tables)))["shop_id"] == "hashed"


def test_integers_that_no_common_type_holds_are_a_data_error(tmp_path):
    tables = [rows(x=pa.array([2**64 - 1] * N, pa.uint64())), rows(x=[-1] * N)]
    with pytest.raises(DataError, match="integers of different types"):
        look(write(tmp_path, *tables))


def test_columns_that_cannot_be_used_are_left_out_beside_usable_ones(tmp_path):
    odd = {
        "s": pa.array([{"x": 1.0, "y": None}] * N),
        "s.x": np.arange(N) / 7,
        "l": [[[i]] for i in range(N)],
        "m": pa.array([[("k", True)]] * N, pa.map_(pa.string(), pa.bool_())),
        "b": [b"\xff"] * N,
        "t": [dt.time(1)] * N,
        "null": pa.nulls(N),
    }
    other = {"s": pa.array([{"z": "?"}] * N), "l": [[["x"]]] * N, "m": [b"m"] * N}
    found = look(write(tmp_path, rows(**odd), rows(**odd), rows(**(odd | other))))
    assert {c.name for c in found.columns if c.use} == {"a", "s.x"}
    reasons = {c.name: c.reason for c in found.columns if not c.use}
    assert set(reasons) == {"s", "l", "m", "b", "t", "null"}
    assert reasons.pop("b") == "bytes without a meaning; write them as text if they are words"
    assert reasons.pop("t") == "constant in the sample"
    assert all(reason.endswith("cannot be used") for reason in reasons.values())


def test_columns_of_any_name_and_in_any_order_are_found(tmp_path):
    texts = ["PM2", "ein ort", "straße.ñ"]
    table = rows(**{"PM2.5": np.arange(N) / 3}, **{name: words() for name in texts})
    other = table.select(table.column_names[::-1])
    one, two = look(write(tmp_path / "1", table, table)), look(write(tmp_path / "2", table, other))
    expected = {"a": "numeric", "PM2.5": "numeric", **dict.fromkeys(texts, "one-hot (3 levels)")}
    assert planned(one) == planned(two) == expected
    assert one.columns == two.columns


def test_survey_of_the_same_lake_is_the_same_and_the_seed_changes_the_sample(tmp_path):
    lake = write(tmp_path, rows(100_000))
    centers = [look(lake, seed=seed).label.label.center for seed in (0, 0, 1)]
    assert centers[0] == centers[1] != centers[2]


def test_nulls_that_only_the_footers_tell_of_get_a_feature(tmp_path):
    values = np.arange(500.0) / 2
    lake = write(tmp_path, rows(500, x=pa.array(values, mask=values == 125)), row_group_size=100)
    read = draw_sample(discover(str(lake)), ["x"], {}, label=None, seed=0, bad=BadFiles(skip=False))
    assert read.rows["x"].null_count == 0
    assert next(c.use.missing for c in look(lake).columns if c.name == "x")
    assert not next(c.use.missing for c in look(lake).columns if c.name == "a")


def damage_pages(path):
    """Flip a byte in the pages of a file that was written with checksums."""
    content = bytearray(path.read_bytes())
    content[500] ^= 0xFF
    path.write_bytes(content)


def test_file_with_damaged_pages_is_an_error_or_left_out(tmp_path):
    lake = write(tmp_path, rows(seed=1), rows(seed=2), rows(seed=3), write_page_checksum=True)
    damage_pages(tmp_path / "p001.parquet")
    with pytest.raises(
        BadPartition, match=r"^p001.parquet, row group 0, column 'y': cannot decode"
    ):
        look(lake)
    found = look(lake, skip_bad=True)
    assert (found.n_files, found.n_rows) == (2, 2 * N)
    assert [error.path for error in found.bad] == ["p001.parquet"]
    for name in ("p000", "p002"):
        damage_pages(tmp_path / f"{name}.parquet")
    with pytest.raises(BadPartition, match=r"p000\.parquet"):
        look(lake, skip_bad=True)


def test_file_that_is_not_parquet_is_an_error_or_left_out(tmp_path):
    lake = write(tmp_path, rows(), rows())
    (tmp_path / "p000.parquet").write_text("a,b\n1,2\n" * 9)
    with pytest.raises(BadPartition, match=r"p000.parquet"):
        look(lake)
    assert look(lake, skip_bad=True).n_rows == N


def test_text_that_is_not_utf8_is_a_bad_partition_naming_file_and_column(tmp_path):
    buffers = pa.array([b"\xff\xfe", b"a"] * (N // 2)).buffers()
    broken = pa.Array.from_buffers(pa.string(), N, buffers)
    lake = write(tmp_path, rows(x=words()), rows(x=broken))
    with pytest.raises(BadPartition, match="Invalid UTF8") as caught:
        look(lake)
    assert (caught.value.path, caught.value.column) == ("p001.parquet", "x")


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([np.inf] + [1.0] * (N - 1), "1 label is infinite"),
        ([-np.inf] * N, f"{N:,} labels are infinite"),
        ([1e200, 1.0] * (N // 2), r"labels beyond 1e\+100"),
    ],
)
def test_label_that_cannot_be_learnt_names_the_file_that_has_it(tmp_path, values, reason):
    with pytest.raises(BadPartition, match=reason) as caught:
        look(write(tmp_path, rows(), rows(y=values), rows()))
    assert (caught.value.path, caught.value.column) == ("p001.parquet", "y")


@pytest.mark.parametrize("values", [[dt.date(2026, 1, 1)] * N, [[1.0]] * N, [b"x"] * N])
def test_label_of_another_type_is_refused(tmp_path, values):
    for skip_bad in (False, True):
        with pytest.raises(BadPartition, match=r"column 'y': a label must be a number"):
            look(write(tmp_path, rows(y=values)), skip_bad=skip_bad)


def test_text_with_few_values_is_a_label_of_classes(tmp_path):
    found = look(write(tmp_path, rows(y=words()), rows(y=words().dictionary_encode())))
    assert (found.label.loss, found.label.label.classes) == ("softmax", ["u", "v", "w"])
    named = look(tmp_path, classes=["w", "v", "u", "t"])
    assert named.label.label.classes == ["w", "v", "u", "t"]
    with pytest.raises(JobError, match="'y' also has w"):
        look(tmp_path, classes=["u", "v", "t"])
    with pytest.raises(JobError, match="squared loss needs a label of numbers"):
        look(tmp_path, loss="squared")


@pytest.mark.parametrize("as_text", [True, False])
def test_lake_sorted_by_class_and_a_column_that_tells_the_class_are_warned_about(tmp_path, as_text):
    rng = np.random.default_rng(0)
    kind = rng.permutation(np.repeat(np.arange(5), 400))
    names = np.array(["m", "e", "z", "a", "q"])
    table = rows(2000, leak=names[kind] + pa.array(["!"] * 2000).to_numpy(False), noise=kind % 2)
    y = pa.array(names[kind] if as_text else (kind * 7) % 5)
    table = table.set_column(0, "y", y).append_column("order", [kind])
    for name, whole in (("mixed", table), ("sorted", table.sort_by("order"))):
        lake = write(tmp_path / name, *(whole.slice(i * 250, 250) for i in range(8)))
        found = look(lake, loss="softmax", exclude=["order"])
        leaks = [text for text in found.warnings if "alone explains" in text]
        assert [text.split(":")[0] for text in leaks] == ["leak"]
        assert any("sorted or grouped" in text for text in found.warnings) == (name == "sorted")


def test_lake_without_rows_is_empty_and_files_without_rows_do_no_harm(tmp_path):
    empty = rows(0)
    with pytest.raises(EmptyLake, match="2 usable Parquet files, but no row"):
        look(write(tmp_path / "none", empty, empty))
    found = look(write(tmp_path / "some", empty, rows(), empty))
    assert (found.n_files, found.n_rows, planned(found)) == (3, N, {"a": "numeric"})


def test_extreme_values_neither_fail_nor_warn(tmp_path):
    rng = np.random.default_rng(0)
    huge = rng.choice([-1.7e308, 1.7e308], N)
    found = look(write(tmp_path, rows(x=huge, y=rng.normal(size=N) * 1e90)))
    use = {column.name: column.use for column in found.columns}["x"]
    assert 0 < use.scale < np.inf
    assert 0 < found.label.label.scale < np.inf
    assert found.warnings == []


def test_absurd_values_and_weights_far_from_one_are_warned_about(tmp_path):
    values = np.arange(N, dtype=float)
    values[5] = 1e300
    lake = write(tmp_path, rows(x=values, w=np.full(N, 1e-90)))
    assert [text.partition(":")[0] for text in look(lake, weight="w").warnings] == ["x", "w"]
    assert look(write(tmp_path, rows(w=np.full(N, 0.5))), weight="w").warnings == []


def test_lake_may_be_surveyed_without_a_label():
    found = survey(str(SAMPLES / "deliveries"), label=None)
    assert found.label is None
    assert "minutes" in {column.name for column in found.columns if column.use}


def test_folder_that_hides_a_column_of_the_files_is_warned_about(tmp_path):
    table = rows(date=pa.array([dt.date(2025, 7, 1)] * N))
    lake = write_files(tmp_path / "lake", {f"date=2026-01-0{i}/a.parquet": table for i in (1, 2)})
    found = look(lake)
    assert any("date: both a key=value folder and a column" in text for text in found.warnings)
    assert not any("date" in text for text in look(lake, exclude=["date"]).warnings)


def test_warnings_about_the_label_are_among_those_of_the_survey(tmp_path):
    table = pa.table({"y": [3.0, None, 3.0, 3.0] * 25, "a": [i % 50 for i in range(100)]})
    nulls, constant = look(write(tmp_path / "lake", table)).warnings
    assert "25.0% of the labels are null" in nulls
    assert "nothing to learn" in constant


@pytest.mark.parametrize(
    ("known", "name"), [("x", "X "), ("x", " x"), ("x", "X"), ("wide", "widen")]
)
def test_error_about_a_missing_column_names_a_similar_one_of_the_file(tmp_path, known, name):
    numbers = np.arange(N, dtype=float)
    lake = write(tmp_path, rows(**{known: numbers}), rows(**{name: numbers}))
    with pytest.raises(BadPartition) as caught:
        look(lake)
    assert caught.value.column == name
    assert caught.value.reason.endswith(f"; the file has {known!r}")
    assert caught.value.advice.endswith(f"(--on-bad skip), or {naming('exclude', name)}.")


def test_a_cluster_reads_footers_and_labels_to_the_same_survey(tmp_path, monkeypatch):
    files = {f"{i:03}.parquet": number_table(30 + i % 7, i, classes=True) for i in range(80)}
    lake = str(write_files(tmp_path, files))
    (tmp_path / "041.parquet").write_bytes(b"PAR1 and no footer")
    alone = survey(lake, label="y", skip_bad=True)
    monkeypatch.setattr(Workers, "is_cluster", True)
    together = survey(lake, label="y", skip_bad=True)
    assert len(alone.bad) == 1
    assert repr(together) == repr(alone)


def test_a_struct_that_is_named_as_a_column_is_pointed_to_its_fields(tmp_path):
    table = pa.table({"s": [{"n": i} for i in range(200)], "y": [float(i % 7) for i in range(200)]})
    pq.write_table(table, tmp_path / "a.parquet")
    job = {"lake": str(tmp_path), "label": "y", "model": str(tmp_path / "model")}
    for wrong in ({"features": ["s"]}, {"exclude": ["s"]}, {"where": "s = 1"}):
        with pytest.raises(JobError, match=r"a struct is read as its fields, such as s\.n"):
            train(job | wrong)


def test_a_struct_without_a_type_in_some_file_is_missing_there_with_advice_that_works(tmp_path):
    y = [float(i % 7) for i in range(200)]
    for name, s in {"a": pa.array([{"n": i % 5} for i in range(200)]), "b": pa.nulls(200)}.items():
        pq.write_table(pa.table({"s": s, "y": y}), tmp_path / f"{name}.parquet")
    job = {"lake": str(tmp_path), "label": "y", "model": str(tmp_path / "model")}
    with pytest.raises(BadPartition, match=r"^b\.parquet, column 's\.n'.*has no type") as caught:
        train(job)
    assert "--on-missing-column null" in str(caught.value)
    assert train(job | {"on_missing_column": "null"}).rows == 400
