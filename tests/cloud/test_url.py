"""URLs that hold a secret are refused everywhere, without repeating the secret."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from onepass import Model
from onepass.cloud.url import parse_url
from onepass.errors import JobError
from onepass.job_fields import parse_job
from onepass.lake.discover import discover
from onepass.ledger.store import open_store
from s3 import KEY_ID, SECRET

SECRET_URLS = [
    f"s3://{KEY_ID}:{SECRET}@bucket/lake",
    f"s3://user:{SECRET.split('/')[-1]}@bucket/lake",
    f"s3://bucket/lake?X-Amz-Signature={SECRET}",
    f"s3://bucket/lake/X-Amz-Signature={SECRET}",
    f"az://container/lake?sv=2020&sig={SECRET}",
    f"az://container/lake&sig={SECRET}",
    f"az://container/SharedAccessSignature={SECRET}",
    f"s3://bucket/AWSAccessKeyId={KEY_ID}&Signature={SECRET}",
    f"gs://bucket/lake/X-Goog-Credential={SECRET}",
    f"https://bucket.s3.amazonaws.com/lake?X-Amz-Credential={KEY_ID}&X-Amz-Signature={SECRET}",
]


@pytest.mark.parametrize("url", SECRET_URLS)
def test_url_with_a_secret_is_refused_and_not_repeated(url, onepass, tmp_path, caplog):
    secret = SECRET.split("/")[-1]
    tries: list[Callable[[], object]] = [
        lambda: parse_job({"lake": url, "label": "y", "model": "m"}),
        lambda: parse_job({"lake": ["a", url], "label": "y", "model": "m"}),
        lambda: parse_job({"lake": "a", "label": "y", "model": url}),
        lambda: parse_job({"lake": "a", "label": "y", "model": "m", "holdout": url}),
        lambda: discover(url),
        lambda: discover([url]),
        lambda: open_store(url),
        lambda: Model.load(url),
    ]
    for attempt in tries:
        with pytest.raises(JobError) as found:
            attempt()
        assert secret not in str(found.value) + repr(found.value)
    for arguments in (
        ["train", url, "--label", "y", "--model", tmp_path / "m"],
        ["train", "--model", url],
        ["inspect", url],
        ["evaluate", url, "--model", tmp_path / "m"],
        ["log", url],
        ["--debug", "log", url],
    ):
        code, out, err = onepass(*arguments)
        assert code == 2
        assert secret not in out + err
    assert secret not in caplog.text
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    "url",
    [
        "s3://relax-amz-data/lake",
        "az://sharedaccess-logs/lake",
        "s3://bucket/sharedaccess-logs",
        "s3://bucket/x-amz-logs/x-goog-logs",
        "s3://bucket/signature=1/sig=2",
        "gs://awsaccesskeys/design=1",
    ],
)
def test_names_that_only_resemble_a_secret_are_accepted(url):
    assert str(parse_url(url)) == url


def test_refused_url_is_not_in_the_errors_that_a_form_shows():
    from pydantic import ValidationError

    from onepass import Job

    with pytest.raises(ValidationError) as found:
        Job(lake=SECRET_URLS[0], label="y", model="m")
    assert SECRET not in str(found.value)
