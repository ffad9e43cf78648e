"""A damaged or hostile log gives one clear error, or the rows of the table, and nothing else."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from delta_tables import HandWritten, column, removed
from onepass.errors import BadPartition, DataError, HistoryGone, JobError
from onepass.lake.discover import LakeFile
from onepass.lake.tables.delta import open_table
from onepass.lake.tables.table import TableChoice

SECRETS = ("hunter2", "sig=abc")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of three versions, with everything that can be damaged in it."""
    columns = [column("x", pa.int64(), 1), column("p", pa.int32(), 2)]
    x, p = (one["metadata"]["delta.columnMapping.physicalName"] for one in columns)
    table = HandWritten(
        tmp_path_factory.mktemp("sound") / "t",
        columns,
        ["p"],
        ["columnMapping", "deletionVectors", "v2Checkpoint"],
        {"delta.columnMapping.mode": "name"},
    )
    adds = [table.add(pa.table({x: range(20)}), {p: str(at)}, f"p={at}") for at in range(4)]
    table.commit("WRITE", *adds)
    fewer = [table.without(adds[0], [3], "i"), table.without(adds[1], [4], "u", "ab")]
    table.commit("DELETE", *map(removed, adds[:2]), *fewer)
    table.checkpoint([*fewer, *adds[2:]], sidecars="json")
    table.commit("WRITE", table.add(pa.table({x: [1]}), {p: None}))
    return table.root


def use(root: Path) -> list[LakeFile]:
    """Do all that a run does with a table."""
    table = open_table(str(root), TableChoice())
    files = table.files()
    table.commits_since(None)
    table.commits_since(1)
    table.file(files[0].key if files else "", None)
    for one in files:
        if one.view is not None and one.view.deleted is not None:
            one.view.deleted.positions()
    return files


def check_use(root: Path) -> str | None:
    """Use a table whose log is damaged; return the message, and check that it is a good one."""
    try:
        files = use(root)
    except (DataError, JobError, BadPartition, HistoryGone) as error:
        message = str(error)
        assert len(message.splitlines()) <= 2, message
        assert len(message) < 1_000, message
        assert not any(secret in message for secret in SECRETS), message
        return message
    for one in files:
        parts = os.path.relpath(one.location, root).split("/")
        assert ".." not in parts or one.key == one.location, one
    return None


def rewrite(root: Path, version: int, change: Any) -> None:
    """Change the actions of a commit by a function of the list of actions."""
    path = root / "_delta_log" / f"{version:020}.json"
    actions = [json.loads(line) for line in path.read_text().splitlines()]
    change(actions)
    path.write_text("".join(json.dumps(one) + "\n" for one in actions))


def copied(sound: Path, tmp_path: Path) -> Path:
    shutil.copytree(sound, tmp_path / "t")
    return tmp_path / "t"


PATHS = [
    *("../../etc/passwd", "a/../../x.parquet", "/etc/../x.parquet", "..", "%2e%2e/x.parquet", ""),
    *("file:///etc/../x", "a//b.parquet", "./a.parquet", "a\0b", "a%00b", "%ff.parquet", "\ud800"),
    *("https://user:hunter2@host/x.parquet", "s3://key:hunter2@bucket/x.parquet", "s3:/x"),
    *(
        "s3://bucket/x.parquet?sig=abc",
        "abfss://c@other.dfs.core.windows.net/x?sig=abc",
        "hdfs://h/x",
    ),
    *(7, None, [], {"a": 1}),
]


@pytest.mark.parametrize("path", PATHS, ids=repr)
def test_a_path_that_leaves_the_table_or_is_none_is_refused(sound, tmp_path, path):
    root = copied(sound, tmp_path)
    rewrite(root, 2, lambda actions: actions[1]["add"].update(path=path))
    message = check_use(root)
    assert message is not None
    assert "00000000000000000002.json, line 2: found" in message


WRONG = [
    *({"size": value} for value in (-1, 1 << 200, 1e308, "1", True, None)),
    *({"partitionValues": value} for value in (None, [], "p", {"p": 5}, {"p": {}})),
    *({"dataChange": value} for value in (None, 1, "true")),
    *({"deletionVector": value} for value in (1, "u", [], {})),
]


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_a_field_of_a_wrong_type_is_refused(sound, tmp_path, wrong):
    root = copied(sound, tmp_path)
    rewrite(root, 2, lambda actions: actions[1]["add"].update(wrong))
    message = check_use(root)
    assert message is not None
    assert "line 2: found" in message


@pytest.mark.parametrize(
    "line",
    [
        *(b"{", b"[]", b"5", b'"add"', b"\xff\xfe", b'{"add": 5}', b'{"add": []}'),
        b'{"add": {"path": "x", "size": ' + b"9" * 9_000 + b"}}",
        b'{"a": ' * 9_999,
        b'{"add":{"path":"x.parq',
    ],
    ids=lambda line: repr(line[:20]),
)
def test_a_line_that_is_no_action_is_refused_with_its_place(sound, tmp_path, line):
    root = copied(sound, tmp_path)
    path = root / "_delta_log" / "00000000000000000002.json"
    path.write_bytes(path.read_bytes() + line)
    message = check_use(root)
    assert message is not None
    assert "00000000000000000002.json, line 3: " in message


METADATA = [
    *({"schemaString": value} for value in (None, "", "{", "[]", '{"type":"struct"}', "{" * 9_999)),
    *({"schemaString": json.dumps({"fields": [value]})} for value in (1, {}, {"name": 1})),
    {"schemaString": json.dumps({"fields": [{"name": "a", "type": "interval day"}]})},
    {"schemaString": json.dumps({"fields": [{"name": "a", "type": "decimal(50,2)"}]})},
    {"schemaString": json.dumps({"fields": [{"name": "a", "type": {"type": "array"}}]})},
    *({"partitionColumns": value} for value in (None, "p", ["nothing"], [1])),
    *({"configuration": value} for value in ([], {"delta.columnMapping.mode": "guess"})),
    *({"format": {"provider": "orc"}}, {"format": 1}, {"id": None}, {"id": 1}),
]


@pytest.mark.parametrize("wrong", METADATA, ids=lambda wrong: str(wrong)[:40])
def test_metadata_that_cannot_be_used_is_refused(sound, tmp_path, wrong):
    root = copied(sound, tmp_path)
    whole = json.loads((root / "_delta_log" / f"{0:020}.json").read_text().splitlines()[2])
    changed = {"metaData": {**whole["metaData"], **wrong}}
    rewrite(root, 2, lambda actions: actions.append(changed))
    message = check_use(root)
    assert message is not None
    assert "line 3: " in message


def test_a_schema_that_is_nested_very_deeply_is_refused(sound, tmp_path):
    root = copied(sound, tmp_path)
    whole = json.loads((root / "_delta_log" / f"{0:020}.json").read_text().splitlines()[2])
    schema = '{"type":"array","elementType":' * 300 + '"long"' + "}" * 300
    text = json.dumps({"fields": [{"name": "a", "type": json.loads(schema)}]})
    changed = {"metaData": {**whole["metaData"], "schemaString": text}}
    rewrite(root, 2, lambda actions: actions.append(changed))
    assert "nested" in (check_use(root) or "")


def test_a_partition_value_of_another_type_is_refused_with_file_and_column(sound, tmp_path):
    root = copied(sound, tmp_path)

    def change(actions: list[Any]) -> None:
        (name,) = actions[1]["add"]["partitionValues"]
        actions[1]["add"]["partitionValues"][name] = "99999999999"

    rewrite(root, 2, change)
    message = check_use(root)
    assert message is not None
    assert "'99999999999' of partition column 'p'" in message


def test_damaged_bytes_anywhere_in_the_log_are_one_error_or_do_not_matter(sound, tmp_path):
    rng = np.random.default_rng(5)
    names = [
        str(one.relative_to(sound))
        for one in sorted(sound.rglob("*"))
        if one.is_file() and ("_delta_log" in one.parts or one.suffix == ".bin")
    ]
    assert len(names) == 7
    n_refused = 0
    for at in range(105):
        root = copied(sound, tmp_path)
        file = root / names[at % len(names)]
        data = bytearray(file.read_bytes())
        if rng.random() < 0.3:
            data = data[: rng.integers(len(data))]
        else:
            for place in rng.integers(0, len(data), 1 + int(rng.integers(4))):
                data[place] = rng.integers(256)
        file.write_bytes(data)
        n_refused += check_use(root) is not None
        shutil.rmtree(root)
    assert n_refused > 50


def test_names_of_versions_that_nobody_writes_do_not_stop_a_reader(sound, tmp_path):
    root = copied(sound, tmp_path)
    (root / "_delta_log" / f"{10**20 - 1}.json").write_text("{}")
    message = check_use(root)
    assert message is not None
    assert "00000000000000000003.json: the commit is missing" in message
    (root / "_delta_log" / f"{10**20 - 1}.json").unlink()
    for name in ("1.json", f"{7:020}.json.tmp", f"{7:021}.json", f".{7:020}.json.crc"):
        (root / "_delta_log" / name).write_text("{")
    assert check_use(root) is None


def test_a_log_that_is_a_file_or_empty_is_refused(tmp_path):
    (tmp_path / "_delta_log").write_text("")
    assert "cannot list the log" in (check_use(tmp_path) or "")
    (tmp_path / "t" / "_delta_log").mkdir(parents=True)
    assert "no commit and no checkpoint" in (check_use(tmp_path / "t") or "")
