"""The documents name tests, modules, files and headings that exist; hooks run `make check`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from lakes import ROOT

PROMISES = (ROOT / "docs" / "promises.md").read_text()

DOCUMENTS = sorted(
    path
    for folder in ("", "docs", "benchmarks", "data_samples", "examples")
    for path in (ROOT / folder).glob("*.md")
)

PLACES = ("", "pipeline/onepass", "flows/prefect_onepass", "tests", "benchmarks")
"""Folders that the paths of a document start from."""


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


def headings(document: Path) -> set[str]:
    """Anchors of the headings of a document, as GitHub makes them."""
    lines = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", line).strip().lower().replace(" ", "-") for line in lines}


def test_every_promise_names_a_test_that_there_is():
    assert {promise for promise, _, _ in named()} == {
        row.strip("|").split("|")[0].strip()
        for row in PROMISES.splitlines()
        if row.startswith("| **")
    }
    missing = [test for _, path, test in named() if f"def {test}(" not in path.read_text()]
    assert not missing


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading(document):
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text()):
        if not target.startswith("https://"):
            name, _, heading = target.partition("#")
            path = document.parent / name if name else document
            assert path.exists(), target
            assert not heading or heading in headings(path), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_that_a_document_names_is_there(document):
    for name in re.findall(r"`([\w/]+\.py)`", document.read_text()):
        beside = [document.parent / name]
        assert any(path.is_file() for path in beside + [ROOT / p / name for p in PLACES]), name


def test_pre_commit_runs_the_commands_of_make_check():
    recipe = re.search(r"^check:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert recipe
    commands = [line.strip("\t@") for line in recipe.group(1).splitlines()]
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    assert [hook["entry"] for hook in hooks] == [
        command.replace("$(BIN)", ".venv/bin") for command in commands
    ]
