"""What commands advise can be done with them; without a command, advice is about fields."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
import pytest

from lakes import ROOT, write_files
from onepass.cli.inspect import command as inspect_command

FLAG = re.compile(r"(?<![\w-])--([a-z][a-z-]*)")


def flags_of(command: click.Command) -> set[str]:
    options = [option for one in command.params for option in (*one.opts, *one.secondary_opts)]
    return {option.removeprefix("--") for option in options}


def test_inspect_takes_every_flag_that_a_survey_advises():
    """Its lines on bad files are their first lines, without the advice to skip them."""
    advised = {"on-bad"}
    for path in (ROOT / "pipeline/onepass/survey").glob("*.py"):
        text = path.read_text()
        advised |= {*FLAG.findall(text), *re.findall(r"naming\(['\"]([a-z_]+)['\"]", text)}
    assert {"interleave", "on-null-label", "classes", "exclude"} <= advised
    assert advised - {"on-bad"} <= flags_of(inspect_command)


def sorted_lake(folder: Path) -> Path:
    y = np.where(np.arange(200) % 50 == 0, np.nan, 0.0)
    files = {
        f"{i}.parquet": pa.table({"y": pa.array(y + i, from_pandas=True), "a": np.arange(200) % 9})
        for i in range(4)
    }
    return write_files(folder, files)


def test_inspect_follows_its_own_advice(tmp_path, onepass):
    lake = sorted_lake(tmp_path / "lake")
    code, out, _ = onepass("inspect", lake, "--label", "y")
    assert code == 0
    assert "--on-null-label drop leaves them out" in out
    assert "--interleave 4 learns from all over it" in out
    given = ("--on-null-label", "drop", "--interleave", "4")
    code, out, _ = onepass("inspect", lake, "--label", "y", *given)
    assert code == 0
    assert "2.0% of the labels are null, and left out" in out
    assert "interleave" not in out
    assert "--on-null-label" not in out
    (tmp_path / "job.yaml").write_text(f"lake: {lake}\nlabel: y\ninterleave: 4\nmodel: m\n")
    code, out, _ = onepass("inspect", "--config", tmp_path / "job.yaml")
    assert (code, "interleave" in out) == (0, False)


def test_label_that_is_rarely_null_is_not_shown_as_never_null(tmp_path, onepass):
    y = pa.array([None if i == 7 else float(i % 9) for i in range(5000)])
    lake = write_files(
        tmp_path / "lake", {"a.parquet": pa.table({"y": y, "a": np.arange(5000) % 5})}
    )
    _, out, _ = onepass("inspect", lake, "--label", "y")
    assert "<0.1% of the labels are null" in out
    assert ", <0.1% null" in out
    assert "0.0%" not in out
    code, _, err = onepass("train", lake, "--label", "y", "--model", tmp_path / "model")
    assert (code, "<0.1% of the labels ('y') are null" in err) == (3, True)


def test_class_whose_name_has_a_blank_at_its_end_is_visible(tmp_path, onepass):
    y = ["yes ", "no", "yes", "no "] * 50
    lake = write_files(
        tmp_path / "lake", {"a.parquet": pa.table({"y": y, "a": np.arange(200) % 7})}
    )
    _, out, _ = onepass("inspect", lake, "--label", "y")
    assert "classes: no 25.00%, 'no ' 25.00%, yes 25.00%, 'yes ' 25.00%" in out
    given = ("--loss", "softmax", "--classes", "no,yes")
    _, _, err = onepass("inspect", lake, "--label", "y", *given)
    assert "but the label 'y' also has 'no ' (50 rows), 'yes ' (50 rows)" in err


PYTHON = """
import sys
from onepass import train
train({"lake": sys.argv[1], "label": "y", "model": sys.argv[2]})
"""


@pytest.mark.parametrize(
    ("as_command", "words"),
    [(True, "--on-null-label drop (they are counted)"), (False, "on_null_label: drop (they are")],
)
def test_advice_has_the_words_of_who_asked(tmp_path, as_command, words):
    """A flow asks as Python does, from a process of its own."""
    lake, model = str(sorted_lake(tmp_path / "lake")), str(tmp_path / "model")
    if as_command:
        main = "from onepass.cli import main; main()"
        arguments = [main, "train", lake, "--label", "y", "--model", model]
    else:
        arguments = [PYTHON, lake, model]
    done = subprocess.run([sys.executable, "-c", *arguments], capture_output=True, text=True)
    assert done.returncode != 0
    assert words in done.stderr, os.fsencode(done.stderr)
