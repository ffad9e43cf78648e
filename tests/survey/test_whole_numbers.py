"""Whole numbers: ids by name or by what predicts, quantities, and numbers of rows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from onepass.encode.scalar_kinds import OneHot
from onepass.errors import JobError
from onepass.survey.choice import Choice
from onepass.survey.levels_or_line import Target
from onepass.survey.profile import profile_columns
from onepass.survey.row_numbers import Rows
from onepass.survey.whole_numbers import Clues

N = 2000
RNG = np.random.default_rng(0)
CODES = RNG.integers(1, 41, N)
LABEL = RNG.normal(size=41)[CODES] + 0.5 * RNG.normal(size=N)


def profile(values, name="x", *, label=LABEL, file=None, rows_of_file=None, **choice):
    """Profile of one column beside a label, which is None for a lake without one."""
    target = None if label is None else Target(np.asarray(label, float), nominal=False)
    rows = None
    if rows_of_file is not None:
        file = np.zeros(len(values), np.int64) if file is None else file
        rows = Rows(file, np.asarray(rows_of_file))
    wishes = Choice(**{key: tuple(names) for key, names in choice.items()})
    table = pa.table({name: values})
    (found,) = profile_columns(table, {}, wishes, set(), Clues(target, rows))
    return found


def with_nulls(values):
    """The values as pandas stores integers that have met a null."""
    return pa.array(np.asarray(values, float), mask=np.arange(len(values)) % 10 == 0)


FORMS = {
    "integers": lambda values: pa.array(values),
    "floats": with_nulls,
    "text": lambda values: pa.array([str(v) for v in values]),
}


@pytest.mark.parametrize("form", FORMS)
def test_codes_that_predict_by_their_levels_are_a_category_with_a_warning(form):
    found = profile(FORMS[form](CODES), "store")
    assert found.planned == "one-hot (40 levels)"
    assert found.reason.startswith("levels predict the label better than a line (r2 0.")
    assert found.warning.startswith(f"store: {found.reason}; read as a category (--numeric store ")
    assert set(found.use.levels) == {str(code) for code in CODES}
    assert profile(FORMS[form](CODES), "store", numeric=["store"]).planned == "numeric"


@pytest.mark.parametrize("form", FORMS)
def test_without_a_label_or_an_effect_of_the_levels_they_are_numbers(form):
    for label in (None, RNG.normal(size=N), CODES + RNG.normal(size=N)):
        found = profile(FORMS[form](CODES), label=label)
        assert (found.planned, found.warning) == ("numeric", None)


@pytest.mark.parametrize("form", FORMS)
def test_ids_by_name_are_categories_whatever_the_label(form):
    for label in (None, LABEL, RNG.normal(size=N)):
        found = profile(FORMS[form](CODES), "store_id", label=label)
        assert found.planned == "one-hot (40 levels)"
        assert "--numeric store_id" in found.warning
    each = FORMS[form](RNG.permutation(N))
    assert profile(each, "store_id").planned == "left out"


def test_id_by_name_is_a_number_only_where_a_line_predicts_far_better():
    floor = RNG.integers(0, 1200, N)
    found = profile(pa.array(floor), "floor_no", label=floor + 300 * RNG.normal(size=N))
    assert found.planned == "numeric"
    assert found.reason.startswith("a line predicts the label better than its levels")
    assert "(--categorical floor_no to read it as a category)" in found.warning
    # With enough rows for each level, levels predict as well as the line.
    few = floor // 40
    assert profile(pa.array(few), "floor_no", label=few + RNG.normal(size=N)).use.kind == "one_hot"


def test_whole_floats_may_be_chosen_as_a_category_and_fractions_may_not():
    found = profile(pa.array([1.0, 2.0, None, 2.0, np.nan]), label=None, categorical=["x"])
    assert found.use == OneHot(
        name="x", family="integer", levels=["2", "1"], missing=True, whole=True
    )
    with pytest.raises(JobError, match="'x', but type double with fractions has no levels"):
        profile(pa.array([1.0, 2.5]), label=None, categorical=["x"])


@pytest.mark.parametrize("name", ["rownames", "Unnamed: 0", "__index_level_0__", "row_id", "rowid"])
def test_numbers_of_rows_by_name_are_left_out_with_the_way_back(name):
    values = pa.array(np.arange(50) % 25)
    found = profile(values, name, label=None)
    assert (found.planned, found.reason) == ("left out", "a number of the row")
    assert "to read it as a number" in found.warning
    assert profile(values, name, label=None, numeric=[name]).planned == "numeric"
    texts = pa.array([f"station {i % 7}" for i in range(50)])
    assert profile(texts, name, label=None).planned == "one-hot (7 levels)"


@pytest.mark.parametrize("form", ["integers", "text"])
def test_integers_that_count_up_with_the_row_are_left_out_in_any_number_of_files(form):
    for start in (0, 1, 99):
        for sampled in (1000, 400):
            rows = np.sort(RNG.permutation(1000)[:sampled])
            found = profile(FORMS[form](start + rows), label=None, rows_of_file=[1000])
            assert found.reason == "a number of the row"
            file = np.repeat([0, 1], sampled)
            # Through all files, and anew in each of them.
            for step in (1000, 0):
                values = start + np.concatenate([rows, rows + step])
                found = profile(
                    FORMS[form](values), label=None, file=file, rows_of_file=[1000, 1000]
                )
                assert found.reason == "a number of the row"


@pytest.mark.parametrize(
    "values",
    [
        np.arange(1000) // 2,
        np.arange(1000) * 60,
        np.arange(1000)[::-1],
        RNG.permutation(1000),
        np.sort(RNG.integers(0, 1000, 1000)),
        np.append(np.arange(999), 997),
        np.arange(1000) * 10.0**300,
    ],
)
def test_integers_that_rise_otherwise_are_numbers(values):
    assert profile(pa.array(values), label=None, rows_of_file=[1000]).planned == "numeric"


def test_few_rows_may_count_up_by_chance():
    assert profile(pa.array(np.arange(60)), label=None, rows_of_file=[60]).planned == "numeric"


def test_values_of_which_each_file_has_its_own_are_no_levels_for_further_files():
    week, effect = np.repeat(np.arange(20), 100), RNG.normal(size=20)
    label = effect[week] + 0.3 * RNG.normal(size=N)
    assert profile(pa.array(week), label=label).use.kind == "one_hot"
    own = {"file": week, "rows_of_file": np.full(20, 100)}
    assert profile(pa.array(week), label=label, **own).planned == "numeric"
    spread = RNG.permutation(week)
    found = profile(pa.array(spread), label=effect[spread] + 0.3 * RNG.normal(size=N), **own)
    assert found.use.kind == "one_hot"


@pytest.mark.parametrize("n_files", [1, 10])
def test_counter_that_tells_the_label_is_a_number_and_no_number_of_the_row(n_files):
    per_file = N // n_files
    cycle = np.tile(np.arange(per_file), n_files)
    place = {"file": np.repeat(np.arange(n_files), per_file), "rows_of_file": [per_file] * n_files}
    found = profile(cycle, label=-cycle + RNG.normal(size=N), **place)
    assert found.planned == "numeric"
    found = profile(cycle, label=RNG.normal(size=N), **place)
    assert (found.use, found.reason) == (None, "a number of the row")


def test_floats_without_a_null_have_levels_only_if_these_jump_as_codes_do():
    score = RNG.integers(0, 50, 6000).astype(float)
    smooth = np.sin(score / 5) * 3 + RNG.normal(size=6000)
    assert profile(score, label=smooth).planned == "numeric"
    jumps = RNG.normal(size=50)[score.astype(int)] * 2 + RNG.normal(size=6000)
    assert profile(score, label=jumps).planned == "one-hot (50 levels)"
