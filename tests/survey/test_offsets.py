"""Offset and exposure in a survey: where a label starts, which loss is taken, what is refused."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import statsmodels.api as sm

from lakes import write_files
from onepass.errors import JobError
from onepass.survey.lines import Lines, outcome
from onepass.survey.survey import survey

N = 600


def rows(seed=0, **columns):
    """Counts and amounts of rows of different exposure."""
    rng = np.random.default_rng(seed)
    years = rng.uniform(0.02, 1.0, N)
    known = rng.normal(size=N)
    own = {
        "x": rng.normal(size=N),
        "years": years,
        "known": known,
        "claims": rng.poisson(years),
        "amount": rng.gamma(2.0, years) + 1e-6,
        "level": 1e3 + 7 * known + 0.01 * rng.normal(size=N),
        "late": rng.random(N) < 1 / (1 + np.exp(-known)),
        "place": rng.choice(["a", "b", "c"], N),
    }
    return pa.table(own | columns)


@pytest.fixture
def look(tmp_path):
    def look(label, table=None, **options):
        lake = write_files(tmp_path / "lake", {"a.parquet": rows() if table is None else table})
        return survey(str(lake), label=label, **options)

    return look


def intercept(table, label, family, offset):
    values = table[label].to_numpy().astype(float)
    return sm.GLM(values, np.ones((N, 1)), family=family, offset=offset).fit().params[0]


def test_base_of_counts_is_the_log_of_their_rate(look):
    table = rows()
    expected = intercept(table, "claims", sm.families.Poisson(), np.log(table["years"].to_numpy()))
    found = look("claims", exposure="years", loss="poisson")
    assert found.label.label.base == pytest.approx(expected)


def test_base_of_two_classes_is_their_intercept_beside_the_offset(look):
    table = rows()
    expected = intercept(table, "late", sm.families.Binomial(), table["known"].to_numpy())
    found = look("late", offset="known", loss="logistic")
    assert found.label.label.base == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("loss", ["squared", "huber", "quantile"])
def test_center_and_scale_are_those_of_the_label_less_the_offset(look, loss):
    table = rows()
    less = table["level"].to_numpy() - 7 * table["known"].to_numpy()
    moved = table.append_column("seven", pa.array(7 * table["known"].to_numpy()))
    found = look("level", moved, offset="seven", loss=loss)
    plain = look("less", moved.append_column("less", pa.array(less)), loss=loss)
    assert found.label.label.center == pytest.approx(plain.label.label.center)
    assert found.label.label.scale == pytest.approx(plain.label.label.scale)
    assert found.label.delta == pytest.approx(plain.label.delta)


def test_an_exposure_makes_auto_take_poisson_for_counts(look):
    assert look("claims", exposure="years").label.loss == "poisson"
    assert look("late", exposure="years").label.loss == "poisson"
    assert look("claims").label.loss == "squared"


@pytest.mark.parametrize("label", ["amount", "place"])
def test_an_exposure_leaves_other_labels_to_the_user(look, label):
    with pytest.raises(JobError, match="name a loss with a logarithmic link"):
        look(label, exposure="years")


@pytest.mark.parametrize(
    ("label", "options", "message"),
    [
        ("late", {"offset": "known", "loss": "hinge"}, "hinge loss, whose margins have no unit"),
        ("place", {"offset": "known", "loss": "softmax"}, "changes no probability"),
        ("place", {"offset": "known"}, "changes no probability"),
        ("late", {"exposure": "years", "loss": "logistic"}, "belongs to a loss with a logarithmic"),
        ("level", {"exposure": "years", "loss": "squared"}, "belongs to a loss with a logarithmic"),
        ("claims", {"exposure": "place"}, "found a column of type string"),
    ],
)
def test_losses_that_cannot_use_the_column_are_refused(look, label, options, message):
    with pytest.raises(JobError, match=message):
        look(label, **options)


def test_columns_with_a_role_are_no_features(look):
    found = look("claims", exposure="years", offset="known")
    assert not {"years", "known"} & {column.name for column in found.columns}


def warned(found):
    return [one for one in found.warnings if one.startswith(("years", "known", "claims"))]


def test_rows_that_will_be_refused_are_told(look):
    years = rows()["years"].to_numpy().copy()
    years[:6] = 0.0
    found = look("claims", rows(years=years), exposure="years")
    assert any(
        "of the sampled rows have an exposure that is not a number" in w for w in warned(found)
    )
    clean = look("claims", exposure="years")
    assert not warned(clean)


def test_offsets_that_are_no_logarithms_are_told(look):
    found = look("claims", rows(known=np.full(N, 365.0)), offset="known", loss="poisson")
    assert any("--exposure takes the logarithm" in w for w in warned(found))


def test_rates_in_place_of_counts_are_told(look):
    table = rows()
    rates = table["claims"].to_numpy() / table["years"].to_numpy()
    found = look("claims", rows(claims=rates), exposure="years", loss="poisson")
    assert any("--weight years" in w for w in warned(found))


def test_an_absurd_exposure_is_told(look):
    years = rows()["years"].to_numpy().copy()
    years[3] = 1e9
    found = look("claims", rows(years=years), exposure="years")
    assert any("the exposure 1e+09 is over" in w for w in warned(found))


def test_forms_of_a_column_are_compared_beside_the_exposure():
    rng = np.random.default_rng(0)
    x, offset = rng.normal(size=20_000), rng.uniform(-3, 0, 20_000)
    offset -= 0.8 * x
    label = rng.poisson(np.exp(offset + 0.5 * x)).astype(float)
    lines = Lines(x, outcome(label, "poisson", offset))
    oracle = sm.GLM(label, sm.add_constant(x), family=sm.families.Poisson(), offset=offset).fit()
    for m in lines.margins(lines.x):
        slope = np.polyfit(lines.x, m, 1)[0]
        assert slope == pytest.approx(oracle.params[1], abs=0.05)
    # Counts alone fall where rates rise.
    lines = Lines(x, outcome(label, "poisson"))
    assert all(np.polyfit(lines.x, m, 1)[0] < 0 for m in lines.margins(lines.x))


def test_an_exposure_of_one_for_all_rows_changes_no_comparison():
    rng = np.random.default_rng(0)
    x, label = rng.gamma(0.3, size=2000), rng.poisson(1.0, 2000).astype(float)
    found = []
    for offset in (None, np.full(2000, 0.7)):
        lines = Lines(x, outcome(label, "poisson", offset))
        old, new = lines.margins(lines.x), lines.margins(np.log1p(lines.x))
        found.append([*old, *new, lines.gain(new, old)])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9)
