"""Three ways to name an Iceberg table: its catalogue, its metadata file, its folder."""

from __future__ import annotations

import contextlib
import gzip
import json
import random
import shutil

import pytest

from iceberg_tables import catalogue, data_uris, deletion_vector, local, opened, read, rows
from onepass.cloud.url import canonical
from onepass.errors import DataError, JobError
from onepass.job_values import absolute
from onepass.lake.tables.iceberg_places import Places
from onepass.lake.tables.iceberg_places import opened as place_of


@pytest.fixture
def table(tmp_path):
    with catalogue(tmp_path) as tables:
        found = tables.create_table("db.t", schema=rows(0, 1).schema)
        found.append(rows(0, 10))
        yield found


def metadata_folder(table):
    return local(table.location()) / "metadata"


def names(table):
    return sorted(path.name for path in metadata_folder(table).glob("*.metadata.json"))


@pytest.fixture
def configured(table, tmp_path, monkeypatch):
    """The catalogue as the environment names it to pyiceberg."""
    monkeypatch.setenv("PYICEBERG_CATALOG__MINE__URI", f"sqlite:///{tmp_path}/catalogue.db")
    # The name of a catalogue is a column of its tables.
    monkeypatch.setenv("PYICEBERG_CATALOG__LOCAL__URI", f"sqlite:///{tmp_path}/catalogue.db")
    return table


def test_a_catalogue_is_configured_as_pyiceberg_does(configured, tmp_path, monkeypatch):
    assert read(opened("iceberg://local/db.t").files()) == rows(0, 10).to_pylist()
    monkeypatch.delenv("PYICEBERG_CATALOG__LOCAL__URI")
    with pytest.raises(JobError, match=r"'local' is not configured: .*__LOCAL__URI"):
        opened("iceberg://local/db.t")
    home = tmp_path / "home"
    home.mkdir()
    text = f"catalog:\n  local:\n    type: sql\n    uri: sqlite:///{tmp_path}/catalogue.db\n"
    (home / ".pyiceberg.yaml").write_text(text)
    monkeypatch.setenv("PYICEBERG_HOME", str(home))
    assert opened("iceberg://local/db.t").version == configured.current_snapshot().snapshot_id


def test_what_a_catalogue_does_not_have_is_said_without_its_secrets(configured, monkeypatch):
    with pytest.raises(JobError, match=r"the catalogue 'local' has no table 'db.other'"):
        opened("iceberg://local/db.other")
    with pytest.raises(JobError, match="has no table"):
        opened("iceberg://local/other.t")
    secret = "postgresql+psycopg2://me:TOPSECRET@127.0.0.1:1/x"
    for uri in (secret, "rest+TOPSECRET://x", "http://me:TOPSECRET@127.0.0.1:1/"):
        monkeypatch.setenv("PYICEBERG_CATALOG__LOCAL__URI", uri)
        with pytest.raises(JobError, match="the catalogue 'local' cannot be read") as caught:
            opened("iceberg://local/db.t")
        assert "TOPSECRET" not in str(caught.value)


def test_the_name_of_a_table_in_a_catalogue_is_a_lake_and_holds_no_secret():
    assert absolute("iceberg://My-Cat/a.b.table_1") == "iceberg://My-Cat/a.b.table_1"
    assert canonical("ICEBERG://c/db.t") == "iceberg://c/db.t"
    for text in ("c", "c/t", "me:TOPSECRET@c/db.t", "c/db.t?token=TOPSECRET", "c/db..t", "/db.t"):
        with pytest.raises(JobError, match=r"expected iceberg://CATALOG/DATABASE\.TABLE") as caught:
            absolute(f"iceberg://{text}")
        assert "TOPSECRET" not in str(caught.value)


def test_a_folder_is_read_by_its_newest_metadata_file(table):
    folder = str(local(table.location()))
    assert opened(folder).version == opened(table).version
    table.append(rows(10, 5))
    assert len(read(opened(folder + "/").files())) == 15
    # A metadata file pins the table as it was.
    assert len(read(opened(str(metadata_folder(table) / names(table)[1])).files())) == 10


def test_a_folder_whose_newest_metadata_is_unclear_is_refused(table):
    folder, where = str(local(table.location())), metadata_folder(table)
    newest = where / names(table)[-1]
    other = where / f"{newest.name.split('-')[0]}-0000.metadata.json"
    shutil.copy(newest, other)
    with pytest.raises(JobError, match=r"does not tell which .*\n.*iceberg://CATALOG"):
        opened(folder)
    # The next commit follows one of the two, so the other one was not committed.
    table.append(rows(10, 5))
    assert len(read(opened(folder).files())) == 15
    # A table that was dropped left a metadata file, with a higher number or a lower one.
    found = json.loads(newest.read_text())
    found["table-uuid"] = "00000000-0000-0000-0000-000000000000"
    for name in ("00009-dropped", "00001-dropped"):
        dropped = where / f"{name}.metadata.json"
        dropped.write_text(json.dumps(found | {"metadata-log": []}))
        with pytest.raises(JobError, match="does not tell which"):
            opened(folder)
        dropped.unlink()
    assert len(read(opened(folder).files())) == 15


def test_a_hint_tells_the_version_and_may_lag(table):
    folder, where = str(local(table.location())), metadata_folder(table)
    first = where / names(table)[-1]
    table.append(rows(10, 5))
    shutil.copy(first, where / "v1.metadata.json")
    (where / "v2.gz.metadata.json").write_bytes(
        gzip.compress((where / names(table)[-2]).read_bytes())
    )
    (where / "version-hint.text").write_text("2")
    assert len(read(opened(folder).files())) == 15
    (where / "version-hint.text").write_text("1\n")
    assert len(read(opened(folder).files())) == 15
    (where / "version-hint.text").write_text(first.name)
    assert len(read(opened(folder).files())) == 10
    for text in ("7", "../../etc/passwd", "00009-x.metadata.json"):
        (where / "version-hint.text").write_text(text)
        with pytest.raises(JobError, match=r"version-hint\.text .* which is not there"):
            opened(folder)


def test_a_copied_folder_is_read_where_it_lies(table, tmp_path):
    deletion_vector(table, data_uris(table)[0], [0, 1])
    expected = opened(table)
    copy = tmp_path / "elsewhere" / "t"
    shutil.copytree(local(table.location()), copy)
    assert {file.location for file in opened(str(copy)).files()} == {
        file.location for file in expected.files()
    }
    shutil.rmtree(local(table.location()))
    found = opened(str(copy))
    assert len(read(found.files())) == 8
    assert found.files()[0].location.startswith(f"{copy}/data/")
    assert found.files()[0].key.startswith("data/")
    assert found.id == expected.id


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        ("file:///a/b%20=c/d", "/a/b%20=c/d"),
        ("file:/a/b", "/a/b"),
        ("/a/b", "/a/b"),
        ("s3a://bucket/t/x", "s3://bucket/t/x"),
        ("gs://bucket/t/x", "gs://bucket/t/x"),
        ("abfss://box@account.dfs.core.windows.net/t/x", "az://box/t/x"),
    ],
)
def test_uris_of_other_tools_are_opened(uri, place):
    assert place_of(uri) == place
    base = place.rpartition("/")[0]
    assert Places(base, base).key(uri) == place.rpartition("/")[2]
    assert Places("/other", "/other").key(uri) == place
    assert Places(base, "/moved").location(uri) == f"/moved/{place.rpartition('/')[2]}"


def test_places_that_cannot_be_read_are_refused():
    with pytest.raises(JobError, match="files in hdfs://, which onepass cannot read"):
        place_of("hdfs://node:8020/t")


def test_every_damage_of_metadata_is_one_clear_error(table):
    deletion_vector(table, data_uris(table)[0], [0])
    newest = metadata_folder(table) / names(table)[-1]
    files = [newest, *metadata_folder(table).glob("*.avro")]
    chance = random.Random(1)
    n_sound = 0
    for path in files:
        whole = path.read_bytes()
        cuts = [whole[:at] for at in (0, 1, len(whole) // 2, len(whole) - 1, len(whole) - 20)]
        flips = []
        for _ in range(40):
            at = chance.randrange(len(whole))
            flips.append(whole[:at] + bytes([chance.randrange(256)]) + whole[at + 1 :])
        for damaged in cuts + flips:
            path.write_bytes(damaged)
            # Some damage changes a number that nobody can check.
            with contextlib.suppress(DataError, JobError):
                opened(str(newest)).files()
                n_sound += 1
        path.write_bytes(whole)
        for damaged in cuts[:-1]:
            path.write_bytes(damaged)
            with pytest.raises((DataError, JobError)):
                opened(str(newest)).commits_since(None) and opened(str(newest)).files()
        path.unlink()
        with pytest.raises((DataError, JobError), match="cannot be read"):
            opened(str(newest)).commits_since(None) and opened(str(newest)).files()
        path.write_bytes(whole)
    assert n_sound < 45 * len(files) / 2
