"""`write_report`: where the page goes, what it needs, and what it must not tell."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
from pathlib import Path

import pytest

from onepass import Model, tag, train, write_report
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


def test_no_folder_of_this_machine_is_told(regression, classification, holdout, lake, tmp_path):
    write_report(regression, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert "/minutes" in text
    for folder in (regression, holdout, lake):
        assert str(folder.parent) not in text
    # A remark on its coefficients names the command that would help, with the directory.
    write_report(classification, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert "onepass refine" in text
    assert str(classification.parent) not in text


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
        with pytest.raises(JobError, match="expected a file to write to"):
            write_report(regression, out)


def test_there_is_no_page_without_a_trained_model(tmp_path):
    with pytest.raises(ModelNotFound):
        write_report(tmp_path / "none", tmp_path / "page.html")


@pytest.fixture
def judged(lake, tmp_path) -> tuple[Path, Path]:
    """A model, and its holdout."""
    kept = shutil.copytree(lake, tmp_path / "kept")
    model = tmp_path / "model"
    train({"lake": str(lake), "label": "minutes", "holdout": str(kept), "model": str(model)})
    return model, kept


def test_a_recorded_evaluation_is_shown_without_reading_the_holdout(judged, tmp_path):
    model, kept = judged
    shutil.rmtree(kept)
    found = write_report(model, tmp_path / "page.html")
    assert found.warnings == []
    assert "<h2>Residuals</h2>" in (tmp_path / "page.html").read_text()


def test_a_model_without_a_record_is_judged_for_the_page_and_stays_as_it_is(judged, tmp_path):
    model, _ = judged
    shutil.rmtree(model / "evaluations")
    before = sorted(model.rglob("*"))
    write_report(model, tmp_path / "page.html")
    assert "<h2>Residuals</h2>" in (tmp_path / "page.html").read_text()
    assert sorted(model.rglob("*")) == before


def test_a_holdout_of_the_job_that_is_gone_is_told_on_the_page(judged, tmp_path):
    model, kept = judged
    shutil.rmtree(kept)
    shutil.rmtree(model / "evaluations")
    found = write_report(model, tmp_path / "page.html")
    assert "the holdout of the job could not be read" in found.warnings[0]
    assert "the holdout of the job could not be read" in (tmp_path / "page.html").read_text()


def test_the_page_is_about_the_version_that_is_asked_for(make_lake, tmp_path):
    lake, model = make_lake(3), tmp_path / "model"
    train({"lake": str(lake), "label": "y", "model": str(model)})
    first = Model.load(model).version
    tag(model, "kept", version=first)
    make_lake(4)
    train({"model": str(model)})
    out = tmp_path / "page.html"
    assert write_report(model, out).version > first
    found = write_report(model, out, version="kept")
    assert found.version == first
    text = out.read_text()
    assert f"<dd>{first} (kept)</dd>" in text
    assert f"This page is about version {first}" in text


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
