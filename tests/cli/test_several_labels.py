"""`onepass train` with several labels: what it prints, and what the other commands say."""

from __future__ import annotations

import json

import pytest

from several import write_lake


@pytest.fixture
def lake(tmp_path):
    return write_lake(tmp_path / "lake", 3)


def test_one_progress_line_then_what_a_run_prints_for_each_label(lake, tmp_path, onepass):
    models = tmp_path / "models"
    words = ("--label", "paid, churned,amount", "--loss", "amount=gamma,paid=probit")
    code, out, err = onepass("train", lake, *words, "--model", models)
    assert code == 0
    assert [line.split(": trained 3 partitions")[0] for line in out.splitlines()[::4]] == [
        "paid",
        "churned",
        "amount",
    ]
    assert "9/9 partitions" in err
    assert [
        line for line in err.splitlines() if line.startswith("warning: churned: 'yes' is taken")
    ]
    assert "s left, loss paid 0." in err.splitlines()[-1]
    code, out, _ = onepass("train", "--model", models)
    assert code == 0
    assert out.count("nothing to train") == 3


def test_json_is_one_object_with_a_list(lake, tmp_path, onepass):
    given = ("train", lake, "--label", "paid,amount", "--exclude", "churned")
    code, out, _ = onepass(*given, "--model", tmp_path / "models", "--json")
    found = json.loads(out.splitlines()[-1])
    assert code == 0
    assert found["model"] == str(tmp_path / "models")
    assert [one["label"] for one in found["models"]] == ["paid", "amount"]
    assert all(one["rows"] == 1215 and one["metrics"] for one in found["models"])


def test_labels_stand_in_a_job_file(lake, tmp_path, onepass):
    text = f"lake: {lake}\nmodel: {tmp_path / 'models'}\nlabel: [paid, amount]\n"
    (tmp_path / "job.yaml").write_text(text + "exclude: churned\nloss: {amount: gamma}\n")
    assert onepass("train", "--config", tmp_path / "job.yaml")[0] == 0
    summary = onepass("summary", tmp_path / "models" / "amount", "--json")[1]
    assert json.loads(summary.splitlines()[-1])["loss"] == "gamma"
    # The whole job again does not contradict the models.
    assert onepass("train", "--config", tmp_path / "job.yaml")[0] == 0


def test_other_commands_name_the_models_of_the_directory(lake, tmp_path, onepass):
    models = tmp_path / "models"
    onepass("train", lake, "--label", "paid,amount", "--exclude", "churned", "--model", models)
    for words in (("log", models), ("evaluate", lake, "--model", models), ("summary", models)):
        code, out, err = onepass(*words)
        assert (code, out) == (2, "")
        assert f"'paid': {models}/paid, 'amount': {models}/amount); name one of them" in err
