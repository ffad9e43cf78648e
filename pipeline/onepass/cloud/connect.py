"""Connect to a bucket, with credentials from the usual places.

Credentials come from the environment (``AWS_*``, ``GOOGLE_*``, ``AZURE_*``), from a profile or
shared configuration, or from the role of the machine or container; a job never holds them. A
Prefect flow may lend the credentials of a block: all stores use them for the duration of the run.
Lent credentials stay in this process's memory. They are not put in its environment, which child
processes inherit and crash reports print.

obstore serves every store, for lakes and for ledgers. It was chosen because it creates exclusively,
reads a range under the condition that the object is unchanged, and releases the interpreter lock
while it waits.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any

from onepass.cloud.faults import TIMEOUT_SECONDS, setting
from onepass.cloud.url import Url
from onepass.errors import JobError

CONNECT_SECONDS = 5.0
"""Maximum seconds for making a connection."""

_ENDPOINTS = {
    "s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
    "az": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
}
"""Environment variables from which obstore takes an endpoint, by scheme."""

_loans: list[tuple[str, dict[str, str]]] = []
"""Pairs of a scheme and the options lent to its stores, one pair for each run under way."""
_loans_lock = Lock()


def connect(url: Url) -> Any:
    """Return an obstore store for the bucket of a URL.

    Raises
    ------
    JobError
        If the extra is not installed, or the settings in the environment cannot be used.
    """
    if find_spec("obstore") is None:
        raise JobError(
            f"{url.scheme}:// needs the extra {url.scheme!r}: pip install 'onepass[{url.scheme}]'"
        )
    return _connected(
        url.scheme,
        url.bucket,
        setting("ONEPASS_STORE_TIMEOUT", TIMEOUT_SECONDS),
        _is_plain(url.scheme),
        tuple(sorted(_lent(url.scheme).items())),
    )


@contextmanager
def credentials(scheme: str, options: Mapping[str, str]) -> Iterator[None]:
    """Lend credentials and other options to all stores of a scheme opened within the block.

    The loan holds for the whole process, because threads that read ahead need it as well.

    Parameters
    ----------
    options
        Options by their obstore names, such as ``aws_access_key_id``.

    Raises
    ------
    JobError
        If another run in this process has lent other options: one run would use the other's.
    """
    loan = (scheme, dict(options))
    with _loans_lock:
        if _lent(scheme) not in ({}, loan[1]):
            raise JobError(
                f"another run of this process has lent other credentials for {scheme}://\n"
                "Wait until it has ended, or run the two in processes of their own."
            )
        _loans.append(loan)
    try:
        yield
    finally:
        with _loans_lock:
            _loans.remove(loan)
        forget()


def forget() -> None:
    """Drop all connections; the next one reads the environment again."""
    _connected.cache_clear()


def _lent(scheme: str) -> dict[str, str]:
    return next((options for lent, options in list(_loans) if lent == scheme and options), {})


@cache
def _connected(
    scheme: str, bucket: str, timeout: float, is_plain: bool, lent: tuple[tuple[str, str], ...]
) -> Any:
    from obstore import store
    from obstore.exceptions import BaseError

    kinds = {"s3": store.S3Store, "gs": store.GCSStore, "az": store.AzureStore}
    options: dict[str, Any] = dict(lent)
    if scheme == "s3" and not options and _has_profile():
        options["credential_provider"] = _profile()
    try:
        return kinds[scheme](
            bucket,
            client_options={
                "timeout": timedelta(seconds=timeout),
                "connect_timeout": timedelta(seconds=min(CONNECT_SECONDS, timeout)),
                **({"allow_http": True} if is_plain else {}),
            },
            # obstore repeats single parts of a large upload; `persevere` repeats everything else.
            retry_config={
                "max_retries": 2,
                "retry_timeout": timedelta(seconds=timeout),
                "backoff": {"init_backoff": timedelta(seconds=0.1), "base": 2},
            },
            **options,
        )
    except (BaseError, ValueError) as error:
        raise JobError(
            f"{scheme}://{bucket}: the store's settings in the environment cannot be used "
            f"({type(error).__name__})"
        ) from None


def _is_plain(scheme: str) -> bool:
    """Return whether the user has named an endpoint without TLS, such as a server of their own."""
    named = [value for key, value in _lent(scheme).items() if "endpoint" in key]
    named += [os.environ.get(name, "") for name in _ENDPOINTS.get(scheme, ())]
    return next((one for one in named if one), "").startswith("http://")


def _has_profile() -> bool:
    """Return whether AWS credentials come from the shared configuration.

    They do if AWS_PROFILE is set, or if a configuration file exists and the environment has no key.
    """
    if os.environ.get("AWS_PROFILE"):
        return True
    if "AWS_ACCESS_KEY_ID" in os.environ:
        return False
    named = os.environ.get("AWS_SHARED_CREDENTIALS_FILE"), os.environ.get("AWS_CONFIG_FILE")
    usual = Path.home() / ".aws" / "credentials", Path.home() / ".aws" / "config"
    return any(Path(own or other).is_file() for own, other in zip(named, usual, strict=True))


def _profile() -> Any:
    """Return a provider of a profile's credentials, which refreshes them as they expire.

    obstore itself does not read the shared configuration of AWS.

    Raises
    ------
    JobError
        If boto3 is not installed, or the profile cannot be used.
    """
    if find_spec("boto3") is None:
        raise JobError("an AWS profile needs the extra 's3': pip install 'onepass[s3]'")
    import boto3
    from botocore.exceptions import BotoCoreError
    from obstore.auth.boto3 import Boto3CredentialProvider

    try:
        return Boto3CredentialProvider(boto3.Session())
    except (BotoCoreError, ValueError) as error:
        raise JobError(f"the AWS profile cannot be used ({type(error).__name__})") from None
