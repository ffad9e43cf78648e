"""Failures of a store: passing ones are outlasted, all others are refused at once."""

from __future__ import annotations

import pytest
from obstore.exceptions import GenericError

from onepass.cloud.faults import persevere
from onepass.errors import StoreRefused, StoreUnavailable

METADATA = (
    "Generic S3 error: Error performing GET http://169.254.169.254/latest/api/token in 1s, after "
    "2 retries - "
)


@pytest.mark.parametrize("status", ["503 Service Unavailable", "429 Too Many Requests"])
def test_passing_failure_of_the_metadata_service_is_outlasted(status, monkeypatch):
    errors = [GenericError(f"{METADATA}Server returned non-2xx status code: {status}")] * 2

    def ask() -> str:
        if errors:
            raise errors.pop()
        return "answer"

    assert persevere(ask, "s3://bucket/x") == "answer"
    monkeypatch.setenv("ONEPASS_STORE_DEADLINE", "0.01")
    errors += [GenericError(f"{METADATA}status code: {status}")] * 100
    with pytest.raises(StoreUnavailable, match=rf"s3://bucket/x: no success.*\({status[:3]}\)"):
        persevere(ask, "s3://bucket/x")


@pytest.mark.parametrize(
    "said", ["error sending request", "Server returned non-2xx status code: 404 Not Found"]
)
def test_machine_without_a_role_is_told_at_once(said):
    tries = []

    def ask() -> None:
        tries.append(1)
        raise GenericError(METADATA + said)

    with pytest.raises(StoreRefused, match="no credentials were found"):
        persevere(ask, "s3://bucket/x")
    assert len(tries) == 1
