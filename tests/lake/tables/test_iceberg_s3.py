"""Iceberg tables in an object store, with the credentials of a plain lake."""

from __future__ import annotations

import shutil

import pytest
from pyiceberg.catalog.sql import SqlCatalog

from iceberg_tables import (
    catalogue,
    data_uris,
    deletion_vector,
    local,
    opened,
    position_deletes,
    rows,
)
from iceberg_tables import read as read_rows
from onepass.lake.footer import read_footer
from onepass.lake.look import look_at
from onepass.lake.tables import iceberg


@pytest.fixture
def remote(tmp_path, upload, bucket, monkeypatch):
    """A table in a bucket, named by its folder; with deletions of both kinds."""
    with catalogue(tmp_path) as tables:
        table = tables.create_table("db.t", schema=rows(0, 1).schema)
        for first in (0, 10, 20):
            table.append(rows(first, 10))
        uris = data_uris(table)
        position_deletes(table, {uris[0]: [1, 2]})
        deletion_vector(table, uris[1], [3])
        url = upload(local(table.location()), "lake/t")
        shutil.rmtree(local(table.location()))
        yield url, table


def test_a_copied_table_is_read_from_a_bucket_by_folder_and_by_metadata_file(remote):
    url, table = remote
    found = opened(url)
    files = found.files()
    assert len(read_rows(files)) == 27
    assert [file.location for file in files] == [f"{url}/{file.key}" for file in files]
    name = local(table.metadata_location).name
    again = opened(f"{url}/metadata/{name}").files()
    assert again == files


@pytest.mark.parametrize("few", [32, 0])
def test_files_have_the_etags_of_their_objects(remote, monkeypatch, few):
    monkeypatch.setattr(iceberg, "_FEW_OBJECTS", few)
    for file in opened(remote[0]).files():
        assert file.remote.etag is not None
        assert look_at(file).is_same(look_at(file))
        assert read_footer(file).fingerprint.etag == file.remote.etag


def test_a_catalogue_reads_the_metadata_and_onepass_the_rows(
    bucket, s3_server, tmp_path, monkeypatch
):
    uri, endpoint = f"sqlite:///{tmp_path}/c.db", {"s3.endpoint": s3_server.url}
    with SqlCatalog("local", uri=uri, warehouse=f"{bucket}/warehouse", **endpoint) as tables:
        tables.create_namespace("db")
        table = tables.create_table("db.t", schema=rows(0, 1).schema)
        table.append(rows(0, 10))
    monkeypatch.setenv("PYICEBERG_CATALOG__LOCAL__URI", uri)
    monkeypatch.setenv("PYICEBERG_CATALOG__LOCAL__S3__ENDPOINT", s3_server.url)
    found = opened("iceberg://local/db.t").files()
    assert read_rows(found) == rows(0, 10).to_pylist()
    assert found[0].location == f"{table.location()}/{found[0].key}"
