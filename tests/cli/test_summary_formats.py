"""`onepass summary` in each of its formats: whole names, all columns, nothing that runs."""

from __future__ import annotations

import csv
import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from onepass import Model, train
from onepass.actions.coefficient import Coefficient
from onepass.actions.summary import summarise

LONG = "a level with a name that is longer than any terminal is wide " * 6
WILD = '<script>alert("x")</script> | `*_\\ \x1b[31m'


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("lake")
    rng = np.random.default_rng(1)
    level = rng.choice([LONG.strip(), WILD, "c", "d"], 3000)
    x, user = rng.normal(size=3000), [f"u{i}" for i in rng.integers(0, 400, 3000)]
    y = rng.poisson(np.exp(0.3 * x + 0.5 * (level == "c")))
    table = pa.table({"x": x, "a|b": level, "user": user, "age": 80 * rng.random(3000), "y": y})
    pq.write_table(table, folder / "a.parquet")
    path = str(tmp_path_factory.mktemp("model") / "m")
    job = {"lake": str(folder), "label": "y", "loss": "poisson", "spline": ["age:4"]}
    train(job | {"model": path})
    return path


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append(tag)

    def handle_data(self, data) -> None:
        self.texts.append(data)


def escaped(name: str) -> str:
    return name.replace("\x1b", "\\x1b")


def test_csv_has_every_field_of_every_coefficient(model, onepass):
    code, out, _ = onepass("summary", model, "--format", "csv")
    assert code == 0
    rows = list(csv.DictReader(io.StringIO(out)))
    found = summarise(Model.load(model))
    assert set(Coefficient.model_fields) <= set(rows[0])
    of_kind = {kind: [r for r in rows if r["kind"] == kind] for kind in {r["kind"] for r in rows}}
    assert [r["feature"] for r in of_kind["coefficient"]] == [
        escaped(one.feature) for one in found.coefficients
    ]
    for row, one in zip(of_kind["coefficient"], found.coefficients, strict=True):
        assert float(row["coefficient"]) == one.coefficient
        assert float(row["ratio_high"]) == one.ratio_high
    assert len(of_kind["hashed"]) == len(found.hashed_values) > 0
    assert len(of_kind["intercept"]) == 1


def test_csv_of_tests_and_of_curves(model, onepass):
    found = summarise(Model.load(model), curve=["age", "x"])
    rows = list(csv.DictReader(io.StringIO(onepass("summary", model, *CSV, "--tests")[1])))
    assert [r["column"] for r in rows] == [one.column for one in found.tests]
    given = ("--curve", "age", "--curve", "x")
    rows = list(csv.DictReader(io.StringIO(onepass("summary", model, *CSV, *given)[1])))
    points = [point for profile in found.profiles for point in profile.points]
    assert [float(r["effect"]) for r in rows] == [point.effect for point in points]
    assert [float(r["low"]) for r in rows] == [point.low for point in points]


CSV = ("--format", "csv")


def test_markdown_has_whole_names_in_cells_that_nothing_ends(model, onepass):
    _, out, _ = onepass("summary", model, "--format", "markdown", "--curve", "age")
    assert f"a\\|b = {LONG.strip()} |" in out
    tables = [line for line in out.splitlines() if line.startswith("| ")]
    widths = {len(re.findall(r"(?<!\\)\|", line)) for line in tables if "a\\|b = " in line}
    assert widths == {9}
    assert not re.search(r"(?<!\\)<", out)
    assert "\x1b" not in out


def test_html_is_one_page_that_runs_nothing_whatever_names_hold(model, onepass, tmp_path):
    page = tmp_path / "page.html"
    code, out, _ = onepass("summary", model, "--format", "html", "--curve", "age", "--out", page)
    assert (code, out) == (0, "")
    text = page.read_text()
    assert onepass("summary", model, "--format", "html", "--curve", "age")[1] == text
    found = _Tags()
    found.feed(text)
    assert not {"script", "link", "img", "iframe", "object"} & set(found.tags)
    assert {"table", "svg", "style"} <= set(found.tags)
    assert "default-src 'none'" in text
    assert any(LONG.strip() in one for one in found.texts)
    assert any('<script>alert("x")</script>' in one for one in found.texts)


def test_names_are_whole_in_a_pipe(model, onepass):
    out = onepass("summary", model)[1]
    assert any(LONG.strip() in line for line in out.splitlines())


def test_json_is_the_same_by_flag_and_by_format(model, onepass):
    first, second = (onepass("summary", model, *f)[1] for f in (("--json",), ("--format", "json")))
    assert first == second
    assert json.loads(first) == json.loads(summarise(Model.load(model)).model_dump_json())


def test_ratios_curves_tests_and_contrasts_are_printed(model, onepass):
    given = ("--ratios", "--tests", "--sort", "column", "--contrast", "a|b=c:d", "--contrast")
    out = onepass("summary", model, *given, "x=1:0")[1]
    assert "rate ratio" in out
    assert re.search(r"^x +chi2 ", out, re.MULTILINE)
    assert re.search(r"^a\|b: c against d ", out, re.MULTILINE)
    schema = Model.load(model).file.encoder
    names = [name for name in schema.feature_names() if not name.endswith(" is unknown")]
    places = [out.index(f"\n{escaped(name)} ") for name in names]
    assert places == sorted(places)
    curve = onepass("summary", model, "--curve", "a|b", "--ratios")[1]
    assert "curve of a|b, against" in curve
    assert re.search(r"^c .* -+o-+$", curve, re.MULTILINE)
    beside = onepass("summary", model, "--curve", "a|b", "--contrast", "x=1:0", "--tests")[1]
    assert "curve of a|b, against" in beside
    assert "x: 1 against 0" in beside
    assert "chi2" in beside


@pytest.mark.parametrize(
    "given",
    [
        ("--out", "page.html"),
        ("--reference", "age"),
        ("--reference", "x=3"),
        ("--contrast", "x"),
        ("--curve", "nobody"),
        ("--level", "95"),
    ],
)
def test_a_wrong_question_is_refused_in_a_line_or_two(model, onepass, given):
    code, out, err = onepass("summary", model, *given)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) <= 2


def test_ratios_of_a_loss_without_them_are_refused(tmp_path, make_lake, onepass):
    train({"lake": str(make_lake(1)), "label": "y", "model": str(tmp_path / "m")})
    code, _, err = onepass("summary", tmp_path / "m", "--ratios")
    assert code == 2
    assert "squared loss is no ratio" in err


def test_the_ratio_of_a_small_unit_can_be_read(tmp_path, onepass):
    income = np.random.default_rng(2).uniform(1e4, 2e5, 2000)
    label = np.random.default_rng(3).random(2000) < 1 / (1 + np.exp(2e-5 * (income - 1e5)))
    pq.write_table(pa.table({"income": income, "y": label}), tmp_path / "a.parquet")
    train({"lake": str(tmp_path / "a.parquet"), "label": "y", "model": str(tmp_path / "m")})
    out = onepass("summary", tmp_path / "m", "--ratios")[1]
    (line,) = (line for line in out.splitlines() if line.startswith("income"))
    assert [one[:6] for one in line.split()[1:4]] == ["0.9999"] * 3
    assert len(set(line.split()[1:4])) == 3
