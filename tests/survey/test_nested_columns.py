"""Lists and maps: how the sample decides their use, and how the user overrules it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from lakes import write_files
from onepass.encode.nested_kinds import Bag, HashedBag, Pairs, Vector, WeightMap
from onepass.errors import JobError
from onepass.job_fields import parse_job
from onepass.ledger.store import open_store
from onepass.survey.choice import Choice
from onepass.survey.concat import concat_samples
from onepass.survey.leaks import leak_warnings
from onepass.survey.profile import profile_columns
from onepass.training.new_models import create_model
from onepass.wording import speaking

N = 400


def profiles(columns, **choice):
    wishes = Choice(**{key: tuple(names) for key, names in choice.items()})
    return profile_columns(pa.table(columns), {}, wishes, skip=set())


def profile(values, name="x", **choice):
    (found,) = profiles({name: values}, **choice)
    return found


def lists(make, lengths, *, null_every=None, kind=None):
    """Rows of lists of these lengths in turn; `make` gives element k of all elements."""
    rows, k = [], 0
    for i in range(N):
        length = lengths[i % len(lengths)]
        rows.append(
            None if null_every and i % null_every == 0 else [make(k + j) for j in range(length)]
        )
        k += length
    return pa.array(rows, kind)


REALS = lists(lambda k: np.sin(k), [4])
INTEGERS = lists(lambda k: k % 30, [4])
VARYING = lists(lambda k: k % 30, [4, 0, 2])
FEW = lists(lambda k: f"t{k % 7}", [3, 1])
MANY = lists(lambda k: f"t{k % 70}", [3, 1])
MAPS = lists(lambda k: (f"k{k % 5}", float(k)), [2, 0], kind=pa.map_(pa.string(), pa.float64()))
TEXTS = lists(lambda k: (f"k{k % 5}", f"v{k % 2}"), [2, 0], kind=pa.map_(pa.string(), pa.string()))


@pytest.mark.parametrize(
    ("values", "name", "planned", "why"),
    [
        (REALS, "x", "vector of 4", "lists of 4 numbers"),
        (REALS.cast(pa.list_(pa.float32(), 4)), "tags", "vector of 4", "lists of 4 numbers"),
        (INTEGERS, "x", "vector of 4", "lists of 4 numbers"),
        (INTEGERS, "item_ids", "bag (30 values)", "lists of integers, 4 a row (named like ids)"),
        (INTEGERS, "relatedIds", "bag (30 values)", "lists of integers, 4 a row (named like ids)"),
        (VARYING, "x", "bag (30 values)", "lists of integers, 2 a row, at most 4"),
        (FEW, "x", "bag (7 values)", "lists of text, 2 a row, at most 3"),
        (MANY, "x", "hashed bag", "lists of text, 2 a row, at most 3, more than 64 values"),
        (MAPS, "x", "weight map", "map to numbers, 1 a row, at most 2"),
        (TEXTS, "x", "bag (10 values)", "map to text, 1 a row, at most 2"),
        (
            lists(float, [1, 2]),
            "x",
            "left out",
            "lists of numbers of different lengths (1.5 a row, at most 2)",
        ),
        (
            lists(str, [0]).cast(pa.list_(pa.string())),
            "x",
            "left out",
            "only empty lists in the sample",
        ),
        (lists(str, [0]), "x", "left out", "only empty lists in the sample"),
        (pa.nulls(N, pa.list_(pa.float32())), "x", "left out", "only nulls in the sample"),
        (lists(str, [3]), "x", "left out", "nearly every value is different"),
    ],
)
def test_elements_and_lengths_decide_the_use(values, name, planned, why):
    found = profile(values, name)
    assert (found.planned, found.reason) == (planned, why)
    assert (found.warning is not None) == (
        planned == "left out" or pa.types.is_integer(getattr(values.type, "value_type", pa.null()))
    )


def test_the_user_decides_between_bag_and_vector():
    assert isinstance(profile(INTEGERS, categorical=["x"]).use, Bag)
    assert isinstance(profile(INTEGERS, "item_ids", numeric=["item_ids"]).use, Vector)
    assert profile(FEW, bag_counts=["x"]).use.counted
    assert not profile(FEW).use.counted


@pytest.mark.parametrize(
    ("values", "choice", "message"),
    [
        (VARYING, {"numeric": ["x"]}, "--numeric names 'x', but it has lists of different lengths"),
        (FEW, {"numeric": ["x"]}, "--numeric names 'x', but it has type list<item: string>"),
        (REALS, {"categorical": ["x"]}, "type list<item: double> has no levels"),
        (MAPS, {"categorical": ["x"]}, "it is a map to numbers"),
        (REALS, {"bag_counts": ["x"]}, "--bag-counts names 'x', but it is read as a vector"),
        (pa.array([1.0, 2.0]), {"bag_counts": ["x"]}, "its type is double, not a list"),
    ],
)
def test_a_use_that_the_lists_do_not_allow_is_refused(values, choice, message):
    with pytest.raises(JobError, match=message):
        profile(values, **choice)


def test_a_vector_keeps_mean_and_deviation_of_each_element():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N, 3)) * [1.0, 50.0, 1e-3] + [0.0, 1000.0, 5.0]
    rows = [None if i % 10 == 0 else row.tolist() for i, row in enumerate(x)]
    rows[1][0] = rows[2][1] = float("nan")
    rows[3][2] = None
    use = profile(pa.array(rows)).use
    kept = np.array([r for r in rows if r is not None], np.float64)
    np.testing.assert_allclose(use.center, np.nanmean(kept, axis=0))
    np.testing.assert_allclose(use.scale, np.nanstd(kept, axis=0))
    assert use.missing


def test_numbers_of_sparse_rows_are_scaled_by_their_root_mean_square():
    index = lists(lambda k: k % 90, [2, 0, 5], null_every=4)
    value = lists(lambda k: float(k % 3), [2, 0, 5], null_every=4)
    (found,) = profiles({"i": index, "v": value}, sparse=["i:v"])
    numbers = np.array([v for row in value.to_pylist() for v in row or []])
    assert isinstance(found.use, Pairs)
    assert found.use.scale == pytest.approx(np.sqrt((numbers[numbers != 0] ** 2).mean()))
    assert found.use.per_row == pytest.approx(len(numbers) / N + 0.25)
    assert found.null_share == 0.25
    use = profile(MAPS).use
    assert isinstance(use, WeightMap)
    assert use.scale == pytest.approx(np.sqrt((np.arange(1, N) ** 2).mean()))


def test_words_for_a_missing_value_are_no_values_of_lists_and_maps():
    n = 200
    columns = {
        "tags": pa.array([["a", "NA"], ["b", "?", " "], ["a", "-999"], None] * (n // 4)),
        "ids": pa.array([[1], [2, -999], [1, 2], []] * (n // 4)),
        "v": pa.array([[1.0, 5.0], [3.0, -999.0], [2.0, 7.0], [4.0, 6.0]] * (n // 4)),
        "m": pa.array(
            [[("k", 2.0)], [("k", -999.0), ("l", 2.0)]] * (n // 2),
            pa.map_(pa.string(), pa.float64()),
        ),
        "i": pa.array([[1, 2]] * n),
        "w": pa.array([[3.0, -999.0]] * n),
    }
    found = {one.name: one for one in profiles(columns, missing=("-999",), sparse=("i:w",))}
    assert found["tags"].use.levels == ["a", "b"]
    assert found["tags"].reason.endswith("; blank, '-999', '?', 'NA' for missing")
    assert found["ids"].use.levels == ["1", "2"]
    assert found["v"].use.center == pytest.approx([2.5, 6.0])
    assert (found["m"].use.scale, found["i:w"].use.scale) == (2.0, 3.0)
    for name in ("ids", "v", "m", "i:w"):
        assert found[name].use.missing_texts == ["-999"]
        assert found[name].reason.endswith(" for missing")
    plain = {one.name: one for one in profiles(columns, sparse=("i:w",))}
    assert plain["tags"].use.levels == ["a", "-999", "b"]
    assert plain["v"].use.missing_texts == []


def test_pairs_of_other_columns_are_refused():
    for columns, message in (
        ({"i": FEW, "v": FEW}, "--sparse names 'v' for the lists of numbers"),
        ({"i": REALS, "v": REALS}, "--sparse names 'i' for the lists of indices"),
        ({"v": REALS}, "--sparse names 'i', but the column is left out or no list"),
    ):
        with pytest.raises(JobError, match=message):
            profiles(columns, sparse=["i:v"])


def test_files_may_store_the_same_lists_in_different_types():
    coded, small = pa.list_(pa.dictionary(pa.int32(), pa.string())), pa.list_(pa.float32(), 4)
    several = [
        ([FEW, FEW.cast(coded), lists(str, [0])], pa.list_(pa.string())),
        (
            [INTEGERS, REALS.cast(small).cast(pa.list_(pa.float64())), lists(str, [0])],
            pa.list_(pa.float64()),
        ),
        ([INTEGERS, INTEGERS.cast(pa.large_list(pa.int8()))], pa.list_(pa.int64())),
        (
            [TEXTS, TEXTS.cast(pa.map_(pa.large_string(), pa.string()))],
            pa.map_(pa.string(), pa.string()),
        ),
    ]
    for parts, common in several:
        found = concat_samples([pa.table({"x": part}) for part in parts]).column("x")
        assert found.type == common
        assert found.to_pylist() == [row for part in parts for row in part.to_pylist()]


def test_levels_too_many_to_name_are_hashed():
    use = profile(MANY).use
    assert isinstance(use, HashedBag)
    assert use.per_row == 2


def test_a_list_whose_length_tells_the_label_is_a_leak():
    length = np.arange(N) % 4
    columns = {"x": pa.array([["a", "b", "c"][:k] for k in length]), "v": REALS}
    found = leak_warnings("y", length * 2.0, pa.table(columns), profiles(columns))
    assert len(found) == 1
    assert found[0].startswith("x: alone explains 100.0% of y")


def test_vector_that_is_too_wide_for_newton_gets_advice(tmp_path):
    rng = np.random.default_rng(0)
    for width, words in ((520, "520 numbers a row, so nag learns them (--solver newton"), (20, "")):
        emb = pa.array(list(rng.normal(size=(300, width)).astype(np.float32)))
        lake = tmp_path / str(width)
        write_files(lake, {"a.parquet": pa.table({"emb": emb, "y": rng.normal(size=300)})})
        job = parse_job({"lake": str(lake), "label": "y", "model": str(tmp_path / f"m{width}")})
        with speaking("flags"):
            found = [
                one for one in create_model(job, open_store(job.model)) if "numbers a row" in one
            ]
        assert [words in one for one in found] == [True] * bool(words)
