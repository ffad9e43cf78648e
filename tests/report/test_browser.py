"""The page in a real browser: on a desk, on a phone, on paper, and made by a stranger."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from browser import CHROMIUM, Tab, browser
from onepass import train, write_report
from onepass.model.directory import open_model
from onepass.partition import UnreadFile

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


@pytest.fixture
def tab(tmp_path) -> Iterator[Tab]:
    with browser(tmp_path / "profile") as found:
        yield found


@pytest.fixture(scope="module")
def page(regression, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("pages") / "page.html"
    write_report(regression, out)
    return out


def figures(tab: Tab) -> list[str]:
    """Return the ids of the figures in which something is drawn."""
    script = """[...document.querySelectorAll(".figure")]
        .filter((one) => one.querySelectorAll("svg .role-mark path, svg .role-mark line").length)
        .map((one) => one.id)"""
    return list(tab.value(script))


def test_every_figure_is_drawn_without_a_complaint_or_a_request(page, tab):
    tab.open(page, width=1200)
    assert figures(tab) == [
        *("loss-by-partition", "loss-by-time", "quality", "coefficients", "categories"),
        *("over-rows", "over-rows-per-second", "over-memory"),
    ]
    assert tab.complaints() == []
    assert tab.requests() == [page.as_uri()]


def test_values_are_shown_on_hover(page, tab):
    tab.open(page, width=1200)
    place = tab.value(
        """(() => { const one = document.querySelector("#over-rows .mark-symbol path");
        one.scrollIntoView({block: "center"}); const at = one.getBoundingClientRect();
        return [at.x + at.width / 2, at.y + at.height / 2]; })()"""
    )
    tab.call("Input.dispatchMouseEvent", type="mouseMoved", x=place[0], y=place[1])
    shown = "document.querySelector('#vg-tooltip-element.visible')?.textContent"
    text = tab.when(f"{shown} ?? null")
    assert re.search(r"partitionday-\d\d\.parquet", text)
    assert tab.complaints() == []


@pytest.mark.parametrize("name", ["page", "stranger"])
def test_a_phone_needs_no_scrolling_to_the_side(name, tab, request):
    tab.open(request.getfixturevalue(name), width=375, height=812)
    tab.value("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert tab.value("document.documentElement.scrollWidth") == 375
    widest = "Math.max(...[...document.querySelectorAll('svg')].map((one) => one.clientWidth))"
    assert 300 < tab.value(widest) <= 375
    assert len(figures(tab)) >= 6


def test_the_page_is_printed_with_its_figures(page, tab):
    tab.open(page, width=1200)
    data = tab.pdf()
    assert data.startswith(b"%PDF")
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", data)) <= 8


# -- a stranger's model ----------------------------------------------------------------------------

EVIL = "<img src=x onerror=alert(1)>"
WORSE = "</script><script>window.pwned = 1; alert(2)</script>"


@pytest.fixture(scope="module")
def stranger(tmp_path_factory) -> Path:
    """A page of a model in which every name is hostile."""
    folder = tmp_path_factory.mktemp("stranger")
    rng = np.random.default_rng(0)
    long = "'\"`${alert(3)}{{7*7}}" + 300 * "long "
    for i in range(10):
        text = np.array([EVIL, WORSE, "\x1b[31m\u202e", "plain"])[rng.integers(0, 4, 200)]
        many = np.array([f"{WORSE}{k}" for k in range(300)])[rng.integers(0, 300, 200)]
        label = np.array([WORSE, EVIL])[rng.integers(0, 2, 200)]
        columns = {EVIL: rng.normal(size=200), WORSE: text, long: many, f"{EVIL}y": label}
        (folder / "lake" / f"{EVIL}{i}").mkdir(parents=True)
        pq.write_table(pa.table(columns), folder / "lake" / f"{EVIL}{i}" / "'\"><b>.parquet")
    model = folder / EVIL
    lake = str(folder / "lake")
    train({"lake": lake, "label": f"{EVIL}y", "model": str(model), "parallel": 1})
    open_model(model).ledger.commit_skip(UnreadFile(WORSE), f"{WORSE}\n{EVIL}\x1b[31m")
    write_report(model, folder / "page.html", holdout=lake)
    return folder / "page.html"


@pytest.mark.parametrize("has_policy", [True, False])
def test_a_strangers_names_are_shown_and_run_nothing(stranger, tab, tmp_path, has_policy):
    """The policy of the page would stop a script; the names must be harmless without it as well."""
    text = stranger.read_text()
    if not has_policy:
        text, n = re.subn(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
        assert n == 1
    (tmp_path / "page.html").write_text(text)
    tab.open(tmp_path / "page.html", width=1200)
    assert tab.complaints() == []
    assert tab.requests() == [(tmp_path / "page.html").as_uri()]
    assert tab.value("window.pwned") is None
    assert tab.value("document.querySelectorAll('img, iframe, object, embed, b b, a').length") == 0
    assert tab.value("document.querySelectorAll('script').length") == 4
    assert EVIL in tab.value("document.querySelector('h1').textContent")
    assert "window.pwned" in tab.value("document.body.textContent")
    assert len(figures(tab)) >= 6


def test_a_page_whose_figures_are_wrong_says_so_in_their_place(page, tab, tmp_path):
    text = page.read_text().replace('"mark":{"type":"line"', '"mark":{"type":"nonsense"')
    (tmp_path / "page.html").write_text(text)
    tab.open(tmp_path / "page.html", width=1200)
    assert "could not be drawn" in tab.value("document.body.innerText")
