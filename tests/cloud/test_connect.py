"""Connections: credentials come from the usual places or a loan, and each scheme has its store."""

from __future__ import annotations

import os

import pytest

from onepass.cloud.connect import connect, credentials, forget
from onepass.cloud.url import parse_url
from onepass.errors import JobError
from onepass.lake.discover import discover
from onepass.ledger.store import open_store
from s3 import KEY_ID, SECRET


def test_profile_of_the_shared_configuration_is_used(bucket, tmp_path, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    (tmp_path / "shared").write_text(
        f"[lakes]\naws_access_key_id = {KEY_ID}\naws_secret_access_key = {SECRET}\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "shared"))
    monkeypatch.setenv("AWS_PROFILE", "lakes")
    forget()
    provider = connect(parse_url(bucket)).credential_provider
    assert provider()["access_key_id"] == KEY_ID
    assert open_store(f"{bucket}/m").create("a", b"1")
    monkeypatch.setenv("AWS_PROFILE", "another")
    forget()
    with pytest.raises(JobError, match="the AWS profile cannot be used"):
        open_store(f"{bucket}/m")


def test_lent_credentials_count_for_the_time_of_the_block_and_stay_out_of_the_environment(
    bucket, s3_server, monkeypatch
):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name)
    forget()
    lent = {
        "aws_access_key_id": KEY_ID,
        "aws_secret_access_key": SECRET,
        "aws_endpoint_url": s3_server.url,
    }
    with credentials("s3", lent):
        assert open_store(f"{bucket}/m").create("a", b"1")
        assert SECRET not in str(dict(os.environ))
    assert "access_key_id" not in connect(parse_url(bucket)).config


@pytest.mark.parametrize("first_to_end", [0, 1])
def test_credentials_of_overlapping_runs_end_with_the_last_of_them(first_to_end):
    lent = {"aws_access_key_id": KEY_ID, "aws_secret_access_key": SECRET}
    where = parse_url("s3://bucket")

    def key_id() -> str | None:
        return connect(where).config.get("access_key_id")

    before = key_id()
    runs = [credentials("s3", lent), credentials("s3", dict(lent))]
    for run in runs:
        run.__enter__()
    runs.pop(first_to_end).__exit__(None, None, None)
    assert key_id() == KEY_ID != before
    runs.pop().__exit__(None, None, None)
    assert key_id() == before


def test_other_credentials_are_not_lent_beside_those_of_another_run():
    with credentials("s3", {"aws_access_key_id": KEY_ID, "aws_secret_access_key": SECRET}):
        with (
            pytest.raises(JobError, match="lent other credentials for s3://") as found,
            credentials("s3", {"aws_access_key_id": "another"}),
        ):
            pass
        assert SECRET not in str(found.value)
        assert connect(parse_url("s3://bucket")).config["access_key_id"] == KEY_ID
        with credentials("az", {"azure_storage_account_name": "me"}):
            assert connect(parse_url("az://bucket")).config["account_name"] == "me"


def test_extra_that_is_missing_is_named(monkeypatch):
    monkeypatch.setattr("onepass.cloud.connect.find_spec", lambda name: None)
    for scheme in ("s3", "gs", "az"):
        with pytest.raises(JobError, match=rf"pip install 'onepass\[{scheme}\]'"):
            discover(f"{scheme}://bucket/lake")


@pytest.mark.parametrize("text", ["soon", "-1", "0", "inf", "nan"])
def test_settings_of_time_are_checked(bucket, monkeypatch, text):
    monkeypatch.setenv("ONEPASS_STORE_TIMEOUT", text)
    with pytest.raises(JobError, match="ONEPASS_STORE_TIMEOUT: expected seconds above 0"):
        discover(bucket)


def test_every_scheme_has_its_store(monkeypatch):
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    forget()
    kinds = [type(connect(parse_url(f"{s}://bucket/x"))).__name__ for s in ("s3", "gs", "az")]
    forget()
    assert kinds == ["S3Store", "GCSStore", "AzureStore"]
    for wrong in ("ftp://host/x", "file:///x", "S4://bucket/x"):
        with pytest.raises(JobError, match="expected a local path or an s3://, gs:// or az:// URL"):
            discover(wrong)
