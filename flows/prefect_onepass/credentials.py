"""Give the library the credentials in a Prefect block for the duration of one run.

A job and the parameters of a run hold only the name of the block.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click
from prefect.blocks.core import Block
from prefect.blocks.system import Secret

from onepass.cloud.connect import credentials
from onepass.cloud.url import SCHEMES
from onepass.errors import JobError

credentials_option = click.option(
    "--credentials", metavar="BLOCK", help="Prefect block with the credentials of object stores."
)

_AWS = {
    "aws_access_key_id": "aws_access_key_id",
    "aws_secret_access_key": "aws_secret_access_key",
    "aws_session_token": "aws_session_token",
    "region_name": "aws_region",
}
"""Fields of an `AwsCredentials` block, each with the option of the store that it sets."""


@contextmanager
def lent(block: str | None) -> Iterator[None]:
    """Let all stores that are opened within the context use the credentials of a block.

    Parameters
    ----------
    block
        Type and name, such as ``aws-credentials/lakes``; None changes nothing.

    Raises
    ------
    JobError
        If there is no such block, or it holds no credentials of a known kind.
    """
    if block is None:
        yield
        return
    with credentials(*options(_load(block), block)):
        yield


def options(block: Any, name: str) -> tuple[str, dict[str, str]]:
    """Return the scheme and the options of the store that a block is for.

    Raises
    ------
    JobError
        If the block is of an unknown kind, or a `Secret` without options.
    """
    if isinstance(block, Secret):
        return _of_secret(block.get(), name)
    values = {key: _plain(value) for key, value in dict(block).items()}
    if "aws_access_key_id" in values:
        found = {ours: values.get(theirs) for theirs, ours in _AWS.items()}
        client = values.get("aws_client_parameters")
        found["aws_endpoint_url"] = getattr(client, "endpoint_url", None)
        return "s3", {key: str(value) for key, value in found.items() if value}
    if "service_account_info" in values or "service_account_file" in values:
        return "gs", _of_gcp(values)
    if values.get("connection_string"):
        return "az", _of_azure(str(values["connection_string"]))
    raise JobError(
        f"the block {name!r} is of an unknown kind; expected AwsCredentials, GcpCredentials, "
        "AzureBlobStorageCredentials, or a Secret with a JSON object of options"
    )


def _load(name: str) -> Any:
    try:
        return Block.load(name)
    except Exception as error:
        # The type of the error depends on what is missing: server, block, or its package.
        raise JobError(
            f"the Prefect block {name!r} cannot be loaded ({type(error).__name__}); expected "
            "TYPE/NAME of a saved block whose package is installed"
        ) from None


def _of_secret(value: Any, name: str) -> tuple[str, dict[str, str]]:
    try:
        found = json.loads(value) if isinstance(value, str) else dict(value)
        scheme = found.pop("scheme", "s3")
    except (TypeError, ValueError, AttributeError):
        found, scheme = {}, ""
    if scheme not in SCHEMES or not found:
        raise JobError(
            f'the Secret block {name!r} must hold a JSON object such as {{"scheme": "s3", '
            '"aws_access_key_id": ..., "aws_secret_access_key": ...}'
        )
    return scheme, {str(key): str(one) for key, one in found.items()}


def _of_gcp(values: Mapping[str, Any]) -> dict[str, str]:
    if values.get("service_account_info"):
        return {"service_account_key": json.dumps(values["service_account_info"])}
    if values.get("service_account_file"):
        return {"service_account_path": str(values["service_account_file"])}
    return {}


def _of_azure(connection: str) -> dict[str, str]:
    parts = dict(part.split("=", 1) for part in connection.split(";") if "=" in part)
    names = {
        "AccountName": "azure_storage_account_name",
        "AccountKey": "azure_storage_account_key",
        "SharedAccessSignature": "azure_storage_sas_key",
        "BlobEndpoint": "azure_storage_endpoint",
    }
    return {ours: parts[theirs] for theirs, ours in names.items() if theirs in parts}


def _plain(value: Any) -> Any:
    return value.get_secret_value() if hasattr(value, "get_secret_value") else value
