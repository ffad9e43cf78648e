"""Splines, bins, logarithms and crosses are made from the sample, or refused with advice."""

from __future__ import annotations

import datetime as dt
from itertools import combinations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakes import write_files
from onepass.encode.missing import MISSING_TEXTS
from onepass.encode.scalar_kinds import Hashed, Numeric
from onepass.encode.shapes import Bins, Cross, Product, Spline
from onepass.errors import JobError
from onepass.job_fields import parse_job
from onepass.survey.tails import log_unit
from onepass.training.create import decide, survey_job

N = 4000


def table():
    rng = np.random.default_rng(0)
    return pa.table(
        {
            "site": rng.choice(["a", "b", "c"], N),
            "user": [f"u{i}" for i in rng.integers(0, 900, N)],
            "age": pa.array(rng.gamma(4, 10, N), mask=rng.random(N) < 0.1),
            "whole": rng.integers(0, 4, N).astype(float),
            "mostly zero": np.where(rng.random(N) < 0.9, 0.0, rng.gamma(2, 5, N)),
            "amount": rng.lognormal(3, 2, N) * rng.choice([-1, 1], N),
            "flag": rng.random(N) < 0.3,
            "day": [dt.date(2026, 1, 1) + dt.timedelta(days=int(i)) for i in range(N)],
            "text": [f"text {i}" for i in range(N)],
            "digits": [f"{i % 50}.5" for i in range(N)],
            "one": np.ones(N),
            "y": rng.normal(size=N),
        }
    )


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    return str(write_files(tmp_path_factory.mktemp("lake"), {"a.parquet": table()}))


def surveyed(lake, **fields):
    return survey_job(parse_job({"lake": lake, "label": "y", "model": "/m"} | fields))


def used(lake, **fields):
    return {one.name: one for one in surveyed(lake, **fields).columns}


def test_knots_and_bins_lie_at_quantiles_of_the_sample(lake):
    found = used(lake, spline=["age:6"], bins=["mostly zero:4", "amount:10"])
    age = table()["age"].drop_null().to_numpy()
    spline = found["age"].use
    assert isinstance(spline, Spline)
    shares = np.linspace(0.05, 0.95, 6)
    np.testing.assert_array_equal(spline.knots, np.quantile(age, shares, method="nearest"))
    assert found["age"].planned == "cubic spline (6 knots)"
    assert found["age"].reason.startswith("the job says so; knots at ")
    bins = found["amount"].use
    assert isinstance(bins, Bins)
    counts = np.histogram(table()["amount"], [-np.inf, *bins.edges, np.inf])[0]
    assert abs(counts / N - 0.1).max() < 0.002
    # Nine in ten are 0: they have a bin of their own, and the others share the rest.
    edges = found["mostly zero"].use.edges
    counts = np.histogram(table()["mostly zero"], [-np.inf, *edges, np.inf])[0]
    assert len(counts) == 4
    assert edges[0] > 0
    assert counts[1:].min() > 80
    assert counts[0] == (table()["mostly zero"].to_numpy() == 0).sum()
    few = used(lake, bins=["whole:9"])["whole"]
    assert few.use.edges == [1, 2, 3]
    assert few.reason.endswith("4 bins at quantiles, for want of 9 different values")


def test_bins_of_counts_follow_their_rows_and_not_their_rare_values(tmp_path):
    counts = np.repeat([0, 1, 2, 3, 4, 5, 9], [450, 360, 140, 38, 8, 3, 1])
    rows = pa.table({"n": counts, "y": np.arange(1000.0)})
    lake = str(write_files(tmp_path, {"a.parquet": rows}))
    for n_bins, edges in {2: [1], 3: [1, 2], 4: [1, 2, 3], 6: [1, 2, 3, 4, 5]}.items():
        assert used(lake, bins=[f"n:{n_bins}"])["n"].use.edges == edges


def test_knots_of_a_column_with_many_equal_values_are_quantiles_of_the_different_ones(lake):
    spline = used(lake, spline=["mostly zero:5"])["mostly zero"].use
    different = np.unique(table()["mostly zero"])
    shares = np.linspace(0.05, 0.95, 5)
    assert spline.knots == np.quantile(different, shares, method="nearest").tolist()
    assert used(lake, spline=["whole:4"])["whole"].use.knots == [0, 1, 2, 3]


def test_logarithm_is_that_of_heavy_tails_with_either_sign(lake):
    amount = table()["amount"].to_numpy()
    use = used(lake, log=["amount"], tails="log")["amount"].use
    assert isinstance(use, Numeric)
    assert use.log_unit == log_unit(np.abs(amount))
    logs = np.sign(amount) * np.log1p(np.abs(amount) / use.log_unit)
    assert (use.center, use.scale) == pytest.approx((logs.mean(), logs.std()))
    both = used(lake, log=["amount"], spline=["amount:5"])["amount"].use
    assert both.number.log_unit == use.log_unit
    np.testing.assert_allclose(both.knots, np.quantile(logs, np.linspace(0.05, 0.95, 5)), rtol=0.05)


def test_text_that_holds_numbers_can_be_bent(lake):
    use = used(lake, spline=["digits:4"])["digits"].use
    assert use.number.text
    assert use.knots[0] == 2.5


def test_parts_of_a_cross_are_read_by_their_use_and_are_features_unless_left_out(lake):
    crosses = ["site*user", "site*age", "age*amount", "flag*site*mostly zero", "text*site"]
    found = used(lake, cross=crosses, exclude=["user"], bins=["mostly zero:3"])
    assert found["site*user"].use.parts[1].name == "user"
    assert found["site*user"].distinct == len(
        set(zip(table()["site"].to_pylist(), table()["user"].to_pylist(), strict=True))
    )
    assert (
        found["site*user"].reason == f"{found['site*user'].distinct:,} combinations in the sample"
    )
    assert found["user"].use is None
    assert found["user"].reason == "in crosses only, as the job says"
    slope = found["site*age"].use
    assert (slope.parts, [one.name for one in slope.numbers]) == (
        [Hashed(name="site", family="text", blank_is_null=True, missing_texts=[*MISSING_TEXTS])],
        ["age"],
    )
    assert found["site*age"].null_share == pytest.approx(0.1, abs=0.02)
    assert isinstance(found["age*amount"].use, Product)
    kinds = [type(part) for part in found["flag*site*mostly zero"].use.parts]
    assert kinds == [Hashed, Hashed, Bins]
    assert isinstance(found["text*site"].use, Cross)
    assert found["text"].use is None


def test_only_wanted_columns_are_features_beside_their_crosses(lake):
    job = parse_job(
        {"lake": lake, "label": "y", "model": "/m", "features": ["age"], "cross": ["site*user"]}
    )
    _, schema = decide(job, survey_job(job))
    assert [column.name for column in schema.columns] == ["age", "site*user"]
    assert schema.names(label=True) == ["age", "site", "user", "y"]


def test_width_of_the_hash_counts_the_combinations(lake):
    def bits(**fields):
        job = parse_job({"lake": lake, "label": "y", "model": "/m"} | fields)
        resolved, schema = decide(job, survey_job(job))
        assert resolved.hash_bits == schema.hash_bits
        return schema.hash_bits

    assert bits(cross=["site*flag"]) == 18
    assert bits(cross=["site*flag"], hash_bits=9) == 9
    # Sixteen crosses of nearly 4,000 combinations, 8 slots for each.
    parts = ["site", "user", "flag", "digits", "whole"]
    several = [f"text*{a}*{b}" for a, b in combinations(parts, 2)] + [f"text*{a}" for a in parts]
    assert bits(cross=[*several, "text*site*user*flag"], categorical=["whole", "digits"]) == 19


def test_words_for_a_missing_value_are_missing_in_crosses_of_texts_that_are_left_out(lake):
    found = surveyed(lake, cross="site*text", missing="unknown")
    (cross,) = (one.use for one in found.columns if isinstance(one.use, Cross))
    site, text = cross.parts
    assert {"na", "unknown"} <= set(site.missing_texts)
    assert text.missing_texts == site.missing_texts


def test_warning_of_combinations_that_nearly_every_row_has_alone(lake):
    warnings = surveyed(lake, cross=["user*text"]).warnings
    assert any(
        "user*text: nearly every row has a combination of its own" in one for one in warnings
    )
    assert not any("combination" in one for one in surveyed(lake, cross=["site*user"]).warnings)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"cross": ["site*nowhere"]}, r"names \['nowhere'\], but the lake has"),
        ({"spline": ["nowhere"]}, r"--spline names \['nowhere'\], but the lake has"),
        ({"spline": ["site"]}, "--spline names 'site', but its type is text without a number"),
        ({"log": ["day"]}, r"--log names 'day', but its type is date32\[day\], not a number"),
        ({"spline": ["one"]}, "names 'one', which cannot be a number: constant in the sample"),
        ({"spline": ["whole:6"]}, "expected at least 6 different values, but column 'whole' has 4"),
        ({"cross": ["site*one"]}, "'one' cannot be a part of a cross: constant in the sample"),
        ({"cross": ["site*day"]}, "'day' is a date or a time; write the part of it that matters"),
        ({"spline": ["age"], "exclude": ["age"]}, r"names \['age'\], which the job leaves out"),
        ({"bins": ["age"], "features": ["site"]}, r"names \['age'\], which the job leaves out"),
    ],
)
def test_shape_that_a_column_cannot_have_is_refused_with_the_reason(lake, fields, words):
    with pytest.raises(JobError, match=words):
        surveyed(lake, **fields)


def test_cross_must_not_have_the_name_of_a_column(tmp_path):
    rows = table().append_column("site*user", pa.array(np.arange(N)))
    pq.write_table(rows, tmp_path / "a.parquet")
    with pytest.raises(JobError, match="the lake has a column of this name"):
        surveyed(str(tmp_path), cross=["site*user"])


def test_part_of_a_cross_that_few_files_have_is_not_left_out(tmp_path):
    rows = table().slice(0, 300)
    files = {f"{i}.parquet": rows.drop_columns("user") for i in range(12)}
    write_files(tmp_path, files | {"new.parquet": rows})
    found = surveyed(str(tmp_path), cross=["site*user"], on_missing_column="null")
    assert "user" in found.optional
    with pytest.raises(Exception, match="user"):
        surveyed(str(tmp_path), cross=["site*user"])
