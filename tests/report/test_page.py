"""The page as text: bounded, escaped, and closed to scripts that are not its own."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import math
import re
from dataclasses import replace

import pytest

from onepass import Model
from onepass.model.directory import open_model
from onepass.model.evaluations import Evaluation
from onepass.partition import Partition
from onepass.report.contents import Contents, Judged, collect
from onepass.report.page import MOST_BYTES, page
from onepass.report.points import course

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&\u2028"


@pytest.fixture(scope="module")
def contents(classification) -> Contents:
    history = open_model(classification).ledger.history
    return collect(Model.load(classification), history, evaluated=None)


def hostile(contents: Contents) -> Contents:
    """Put the name into everything that a log and a model may call by a name."""
    trained = []
    for entry in contents.trained:
        partitions = [
            Partition(HOSTILE, 0, one.end_row_group, one.rows, one.fingerprint)
            for one in entry.partitions
        ]
        changed = {
            "partitions": partitions,
            "environment": {HOSTILE: HOSTILE},
            "time": HOSTILE[:40],
        }
        trained.append(entry.model_copy(update={**changed, "counts": {HOSTILE: 3}}))
    coefficients = [
        one.model_copy(update={"feature": HOSTILE, "output": HOSTILE})
        for one in contents.summary.coefficients
    ]
    changed = {
        "coefficients": coefficients,
        "warnings": [HOSTILE],
        "references": {HOSTILE: HOSTILE},
    }
    summary = contents.summary.model_copy(update=changed)
    made = collect(
        contents.model, contents.history, evaluated=None, tags={HOSTILE: 1}, notes=[HOSTILE]
    )
    return replace(made, trained=trained, course=course(trained), summary=summary)


def test_a_hostile_name_ends_no_element_and_opens_none(contents):
    text = page(hostile(contents), made=HOSTILE)
    library = re.search(r"<script>(.*?)</script>", text, re.DOTALL)
    assert library is not None
    rest = text.replace(library.group(1), "")
    assert rest.count("<script") == rest.count("</script>") == 4
    assert "<img" not in rest
    assert html.escape(HOSTILE[:8]) in rest
    figures = re.search(r'id="figures">(.*?)</script>', rest, re.DOTALL)
    assert figures is not None
    assert "alert(1)" in json.dumps(json.loads(figures.group(1)))


def test_only_the_scripts_of_the_page_may_run(contents):
    text = page(contents, made="now")
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    allowed = re.findall(r"'sha256-([^']+)'", html.unescape(policy.group(1)))
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts]
    assert allowed == digests
    assert "unsafe-eval" not in policy.group(1)
    assert html.unescape(policy.group(1)).startswith("default-src 'none'; script-src 'sha256-")


@pytest.mark.parametrize(
    "rows",
    [
        [{"prediction": 0.5}],
        [{**dict.fromkeys(("from", "to", "prediction", "positive", "weight"), "</script>")}],
        [{**dict.fromkeys(("from", "to", "prediction", "positive", "weight"), math.nan)}],
        [{**dict.fromkeys(("from", "to", "prediction", "positive", "weight"), 1e308)}] * 3000,
    ],
)
def test_a_strangers_record_of_an_evaluation_breaks_no_page(contents, rows):
    digest = "0" * 64
    record = Evaluation(
        version=contents.model.version,
        **{"state_sha256": digest, "files_sha256": digest, "lake": HOSTILE, "files": 1},
        **{"rows": 10**400, "loss": 1.0, "counts": {}, "seconds": math.nan, "time": HOSTILE[:40]},
        metrics={HOSTILE: math.inf, "calibration_error": math.nan},
        tables={"calibration": rows},
    )
    judged = Judged(record.version, HOSTILE, record.rows, math.inf, math.nan, HOSTILE)
    text = page(replace(contents, evaluated=record, judged=[judged] * 3), made="now")
    assert len(text.encode()) < MOST_BYTES
    assert text.count("</script>") == 4


def test_a_page_of_twenty_thousand_partitions_is_bounded(contents):
    first = contents.trained[0]
    name = first.partitions[0]
    trained = []
    for i in range(1, 20_001):
        one = Partition(f"date={i}/{'x' * 60}", 0, name.end_row_group, name.rows, name.fingerprint)
        changed = {"version": i, "partitions": [one], "environment": {"numpy": str(i)}}
        trained.append(first.model_copy(update=changed))
    many = replace(contents, trained=trained, course=course(trained))
    text = page(many, made="now")
    assert len(text.encode()) < 1.5e6 < MOST_BYTES
    assert "each point is the mean of 50 of them" in text
    assert "500 of 20,000 partitions are shown" in text
    assert "200 of 19,999 changes are shown" in text
