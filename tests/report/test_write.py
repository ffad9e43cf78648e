"""`write_report`: where the page goes, what it needs, and what it must not tell."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
from pathlib import Path

import pytest

from onepass import Model, train, write_report
from onepass.errors import EmptyLake, JobError, ModelNotFound
from onepass.report.page import MOST_BYTES


def test_the_page_is_called_as_the_model_and_loads_nothing(regression, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = write_report(regression)
    assert found.out == "minutes-report.html"
    text = (tmp_path / found.out).read_text()
    assert found.bytes == len(text.encode()) <= MOST_BYTES
    assert found.version == Model.load(regression).version
    markup = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    assert not re.search(r"https?://|\b(src|href)=|@import|url\(", markup)


def test_no_folder_of_this_machine_is_told(regression, tmp_path):
    write_report(regression, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert str(regression.parent) not in text
    assert str(Path.home()) not in text.replace(str(Path.home().parent) + "s", "")
    assert "minutes" in text


def test_a_page_is_replaced_as_a_whole(regression, tmp_path):
    out = tmp_path / "new" / "page.html"
    write_report(regression, out)
    write_report(regression, str(out))
    assert [path.name for path in out.parent.iterdir()] == ["page.html"]


def test_the_extra_is_named_where_it_is_missing(regression, tmp_path, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        "onepass.report.write.find_spec", lambda name: None if name == "altair" else real(name)
    )
    with pytest.raises(JobError, match=r"altair not found\): pip install 'onepass\[report\]'"):
        write_report(regression, tmp_path / "page.html")


def test_a_folder_is_no_file_to_write_to(regression, tmp_path):
    for out in (tmp_path, f"{tmp_path}/new/"):
        with pytest.raises(JobError, match="expected a file to write the report to"):
            write_report(regression, out)


def test_there_is_no_page_without_a_trained_model(tmp_path):
    with pytest.raises(ModelNotFound):
        write_report(tmp_path / "none", tmp_path / "page.html")


def test_a_holdout_of_the_job_that_is_gone_is_told_on_the_page(lake, make_lake, tmp_path):
    kept = shutil.copytree(lake, tmp_path / "kept")
    model = tmp_path / "model"
    train({"lake": str(lake), "label": "minutes", "holdout": str(kept), "model": str(model)})
    shutil.rmtree(kept)
    found = write_report(model, tmp_path / "page.html")
    assert "the holdout of the job could not be read" in found.warnings[0]
    assert "the holdout of the job could not be read" in (tmp_path / "page.html").read_text()


def test_a_holdout_that_is_given_must_be_there(classification, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(EmptyLake):
        write_report(classification, tmp_path / "page.html", holdout=str(tmp_path / "empty"))
    assert not (tmp_path / "page.html").exists()


def test_the_command_says_where_the_page_is_and_what_stands_out(regression, tmp_path, onepass):
    out = tmp_path / "page.html"
    code, text, _ = onepass("report", regression, "--out", out)
    assert code == 0
    assert f"{out} (1 MB)" in text
    assert "look at: New data drifts" in text
    code, text, _ = onepass("report", regression, "--out", out, "--json")
    found = json.loads(text.splitlines()[-1])
    assert (code, found["out"], found["bytes"]) == (0, str(out), out.stat().st_size)
