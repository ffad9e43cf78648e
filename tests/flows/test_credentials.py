"""A Prefect block by name opens object stores, and its content stays in it."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import BaseModel, SecretStr

from lakes import number_table
from onepass import Job
from onepass.cloud.connect import connect, forget
from onepass.cloud.url import parse_url
from onepass.errors import JobError, StoreUnavailable
from s3 import KEY_ID, SECRET

# Prefect and its dependencies warn about themselves.
pytestmark = [
    pytest.mark.filterwarnings("default"),
    pytest.mark.usefixtures("prefect_server"),
]


def database() -> bytes:
    """Everything that the server of these tests has kept."""
    from prefect.settings import PREFECT_SERVER_DATABASE_CONNECTION_URL

    path = Path(str(PREFECT_SERVER_DATABASE_CONNECTION_URL.value()).split("///")[-1])
    return b"".join(one.read_bytes() for one in path.parent.glob(path.name + "*"))


def test_flows_use_a_block_whose_content_is_in_nothing_that_is_kept(
    bucket, s3_server, monkeypatch, caplog, capfd
):
    from prefect.blocks.system import Secret

    from prefect_onepass.score import score as score_flow
    from prefect_onepass.train import train as train_flow

    for i in range(2):
        sink = pa.BufferOutputStream()
        pq.write_table(number_table(300, i), sink)
        connect(parse_url(bucket)).put(f"lake/{i}.parquet", sink.getvalue().to_pybytes())
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name)
    forget()
    content = {
        "scheme": "s3",
        "aws_access_key_id": KEY_ID,
        "aws_secret_access_key": SECRET,
        "aws_endpoint_url": s3_server.url,
    }
    Secret(value=content).save("lakes", overwrite=True)
    job = Job(lake=f"{bucket}/lake", label="y", model=f"{bucket}/m", holdout=f"{bucket}/lake")
    outcome = train_flow(job, credentials="secret/lakes")
    assert (outcome["partitions"], outcome["rows"]) == (2, 600)
    assert train_flow(job, credentials="secret/lakes")["partitions"] == 0
    scored = score_flow(
        job.model, f"{bucket}/out", lake=f"{bucket}/lake", credentials="secret/lakes"
    )
    assert scored["rows"] == 600
    written = "".join(capfd.readouterr()) + caplog.text + str(outcome) + str(scored)
    kept = written.encode() + database()
    assert f"{bucket}/m".encode() in database()
    for secret in (KEY_ID, SECRET):
        assert secret.encode() not in kept
        assert secret not in str(dict(os.environ))


def test_block_that_is_not_there_is_named():
    from prefect_onepass.credentials import lent

    with pytest.raises(JobError, match="the Prefect block 'secret/nothing' cannot be loaded"):
        lent("secret/nothing").__enter__()


def test_fields_of_the_usual_blocks_become_options():
    from prefect.blocks.core import Block

    from prefect_onepass.credentials import options

    class Client(BaseModel):
        endpoint_url: str = "http://127.0.0.1:1"

    class AwsCredentials(Block):
        aws_access_key_id: str | None = "id"
        aws_secret_access_key: SecretStr | None = SecretStr("secret")
        aws_session_token: str | None = None
        region_name: str | None = "eu-west-1"
        aws_client_parameters: Client = Client()

    class GcpCredentials(Block):
        service_account_info: dict[str, str] | None = None
        service_account_file: Path | None = Path("/keys/gcp.json")

    class AzureBlobStorageCredentials(Block):
        connection_string: SecretStr = SecretStr("AccountName=me;AccountKey=a2V5PT0=;X=y")

    assert options(AwsCredentials(), "a") == (
        "s3",
        {
            "aws_access_key_id": "id",
            "aws_secret_access_key": "secret",
            "aws_region": "eu-west-1",
            "aws_endpoint_url": "http://127.0.0.1:1",
        },
    )
    assert options(GcpCredentials(), "g") == ("gs", {"service_account_path": "/keys/gcp.json"})
    assert options(AzureBlobStorageCredentials(), "z") == (
        "az",
        {"azure_storage_account_name": "me", "azure_storage_account_key": "a2V5PT0="},
    )


@pytest.mark.parametrize("value", ["", "text", '{"scheme": "ftp", "a": "b"}', "{}", "[1]"])
def test_secret_of_another_kind_is_refused_without_being_shown(value):
    from prefect.blocks.system import Secret

    from prefect_onepass.credentials import options

    with pytest.raises(JobError, match="the Secret block 'x' must hold a JSON object") as found:
        options(Secret(value=value), "x")
    assert not value or value not in str(found.value)


def test_group_is_retried_after_a_store_was_away():
    from prefect_onepass.states import may_pass

    def failed(error: Exception) -> SimpleNamespace:
        return SimpleNamespace(result=lambda raise_on_failure: error)

    assert may_pass(None, None, failed(StoreUnavailable("away")))
    assert not may_pass(None, None, failed(JobError("wrong")))
