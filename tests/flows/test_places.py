"""The folder from which the paths of `prefect.yaml` start."""

from __future__ import annotations

import pytest

from lakes import ROOT
from prefect_onepass import places as module
from prefect_onepass.places import places


def test_it_is_that_of_the_variable_or_the_checkout(tmp_path, monkeypatch):
    monkeypatch.delenv("ONEPASS_HOME", raising=False)
    assert places() == {"folder": str(ROOT)}
    monkeypatch.setenv("ONEPASS_HOME", str(tmp_path))
    assert places() == {"folder": str(tmp_path)}


@pytest.mark.parametrize("given", ["lakes", "/no/such/folder"])
def test_a_variable_that_is_no_absolute_path_of_a_folder_is_refused(monkeypatch, given):
    monkeypatch.setenv("ONEPASS_HOME", given)
    with pytest.raises(ValueError, match="must be the absolute path of a folder"):
        places()


def test_without_a_checkout_the_variable_is_needed(tmp_path, monkeypatch):
    monkeypatch.delenv("ONEPASS_HOME", raising=False)
    monkeypatch.setattr(module, "__file__", str(tmp_path / "a" / "b" / "places.py"))
    with pytest.raises(ValueError, match="set ONEPASS_HOME"):
        places()
