"""The table of promises names tests that there are."""

from __future__ import annotations

import re
from pathlib import Path

from lakes import ROOT

PROMISES = (ROOT / "docs" / "promises.md").read_text()


def named() -> list[tuple[str, Path, str]]:
    """Promise, file and name of each test in the table."""
    found, path = [], Path()
    for row in PROMISES.splitlines():
        if row.startswith("| **"):
            promise, _, tests = (cell.strip() for cell in row.strip("|").split("|"))
            for word in re.findall(r"`([^`]+)`", tests):
                if word.endswith(".py"):
                    path = ROOT / "tests" / word
                else:
                    found.append((promise, path, word))
    return found


def test_every_promise_names_a_test_that_there_is():
    assert {promise for promise, _, _ in named()} == {
        row.strip("|").split("|")[0].strip()
        for row in PROMISES.splitlines()
        if row.startswith("| **")
    }
    missing = [test for _, path, test in named() if f"def {test}(" not in path.read_text()]
    assert not missing
