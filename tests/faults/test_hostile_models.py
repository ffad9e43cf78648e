"""A model directory from a stranger can be wrong, never dangerous.

Whoever made it knows the format: digests fit, seals fit, the chain is whole. It is refused in
bounded memory and time, no code of its is run, and no file outside of it is read or touched.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import struct
import time
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lakes import number_table, write_files
from onepass import tag, train
from onepass.ledger.entries import digest
from onepass.ledger.npz import load_state
from processes import run

BOMB_BYTES = 600 << 20
REPEAT = int(os.environ.get("REPEAT", "1"))
"""How many times as long the fuzz goes on; `make torture` sets it."""


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a lake, a model of it, and things outside that nobody may touch."""
    folder = tmp_path_factory.mktemp("pristine")
    lake = write_files(
        folder / "lake", {f"part-{i}.parquet": number_table(80, i) for i in range(3)}
    )
    train({"lake": str(lake), "label": "y", "model": str(folder / "model")})
    # Training needs the state only if there is something to train.
    write_files(lake, {"part-9.parquet": number_table(80, 9)})
    return folder


class Stranger:
    """Changes a model directory as somebody who knows the format."""

    def __init__(self, folder: Path) -> None:
        self.model, self.outside = folder / "model", folder / "outside"
        self.outside.mkdir()
        (self.outside / "precious").write_text("do not touch")

    @property
    def entries(self) -> list[Path]:
        return sorted((self.model / "log").glob("*.json"))

    @property
    def states(self) -> list[Path]:
        return sorted((self.model / "state").glob("*.npz"))

    def describe(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Change `model.json`, and the whole chain after it."""
        path = self.model / "model.json"
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))
        self.chain()

    def log(self, version: int, change: Callable[[dict[str, Any]], None]) -> None:
        """Change an entry, and the chain after it."""
        path = self.entries[version - 1]
        content = json.loads(path.read_text())
        change(content)
        path.write_bytes(sealed(content))
        self.chain()

    def chain(self) -> None:
        parent = digest((self.model / "model.json").read_bytes())
        for path in self.entries:
            content = json.loads(path.read_text())
            content["parent_sha256"] = parent
            path.write_bytes(sealed(content))
            parent = digest(path.read_bytes())

    def state(self, data: bytes) -> None:
        """Put other bytes in the place of the newest state, with an entry that names them."""
        for path in self.states[:-1]:
            path.unlink()
        self.states[-1].write_bytes(data)
        self.log(
            len(self.entries),
            lambda entry: entry["state"].update(size=len(data), sha256=digest(data)),
        )

    def arrays(self) -> dict[str, np.ndarray]:
        return load_state(self.states[-1].read_bytes())


def sealed(content: dict[str, Any]) -> bytes:
    content.pop("seal", None)
    data = json.dumps(content, separators=(",", ":")).encode()
    return data[:-1] + b',"seal":"' + digest(data).encode() + b'"}\n'


Attack = Callable[[Stranger], object]


@pytest.fixture
def strangers(pristine, tmp_path) -> Callable[[str], Stranger]:
    """Copies of the model that a stranger has got hold of."""

    def make(name: str) -> Stranger:
        folder = tmp_path / name.replace(" ", "-")
        folder.mkdir()
        shutil.copytree(pristine / "model", folder / "model")
        return Stranger(folder)

    return make


def contents(folder: Path) -> dict[str, bytes | None]:
    """Every file below a folder."""
    return {str(path): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def check_refused(
    strangers: Callable[[str], Stranger],
    attacks: dict[str, Attack],
    cures: dict[str, tuple[str, ...]] | None = None,
    *,
    step: int = 1,
) -> dict[str, str]:
    """Every command refuses each directory, in few words, and the outside stays as it was.

    Parameters
    ----------
    step
        Only one attack in so many is tried on the commands that write.
    cures
        Commands that may succeed, by attack: those that make up for the damage, or go back to
        before it.

    Returns
    -------
    What they said, by attack.
    """
    made = {name: strangers(name) for name in attacks}
    tasks, before = [], {}
    for turn, (name, stranger) in enumerate(made.items()):
        attacks[name](stranger)
        before[name] = contents(stranger.outside)
        model = str(stranger.model)
        commands = [["summary", model], ["verify", model, "--no-lake"]]
        if turn % step == 0:
            commands += [["train", "--model", model], ["rewind", model, "--to", "0"]]
        tasks.append({"do": "limited", "commands": commands})
    said = {}
    for (name, stranger), task, outcome in zip(made.items(), tasks, run(*tasks), strict=True):
        assert outcome.code == 0, (name, outcome)
        for command, (code, err) in zip(task["commands"], outcome.value, strict=True):
            # A model that reads its lake's columns as something else is refused for that at once.
            is_refused = code == 4 or (code == 3 and command[0] == "train")
            is_cured = code == 0 and command[0] in (cures or {}).get(name, ())
            assert is_refused or is_cured, (name, command, code, err)
            assert "unexpected" not in err, (name, command, err)
            assert len(err) < 3000, (name, command)
            assert err.replace("\n", "").isprintable(), (name, command, err)
        assert contents(stranger.outside) == before[name], name
        said[name] = "".join(err for _, err in outcome.value)
    return said


def test_untouched_copy_is_accepted_and_the_scheduler_that_it_names_is_not_called(strangers):
    stranger = strangers("model")
    stranger.describe(lambda content: content["job"].update(dask="tcp://127.0.0.1:9"))
    model = str(stranger.model)
    commands = [["summary", model], ["verify", model], ["train", "--model", model]]
    (outcome,) = run({"do": "limited", "commands": commands})
    assert [code for code, _ in outcome.value] == [0, 0, 0], outcome
    assert stranger.arrays().keys() > {"frequent", "label_range"}


# -- states --------------------------------------------------------------------------------------


def npz(arrays: dict[str, Any], *, compressed: bool = False) -> bytes:
    buffer = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(buffer, **arrays)
    return buffer.getvalue()


def archive(members: list[tuple[str, bytes]], kind: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", kind) as sink:
        for name, data in members:
            sink.writestr(name, data)
    return buffer.getvalue()


def npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def header_of(shape: str, descr: str = "'<f8'", *, major: int = 1) -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    size = struct.pack("<H" if major == 1 else "<I", len(text) + 1)
    return b"\x93NUMPY" + bytes([major, 0]) + size + text + b"\n"


class Bomb:
    def __init__(self, trace: str) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return (open, (self.trace, "w"))


def replaced(arrays: dict[str, np.ndarray], name: str, data: bytes) -> bytes:
    members = [(f"{key}.npy", npy(array)) for key, array in arrays.items() if key != name]
    return archive([*members, (f"{name}.npy", data)])


def twice(arrays: dict[str, np.ndarray], name: str) -> bytes:
    members = [(f"{key}.npy", npy(array)) for key, array in arrays.items()]
    with pytest.warns(UserWarning, match="Duplicate name"):
        return archive([*members, (f"{name}.npy", npy(arrays[name] + 1))])


def overlapping(n_members: int) -> bytes:
    """Directory entries that all show the same bytes."""
    data = bytearray(archive([("a.npy", npy(np.zeros(1 << 17)))]))
    place = data.index(b"PK\x01\x02")
    end = data.index(b"PK\x05\x06")
    entry, tail = bytes(data[place:end]), bytearray(data[end:])
    tail[8:12] = struct.pack("<HH", n_members, n_members)
    tail[12:16] = struct.pack("<I", len(entry) * n_members)
    many = b"".join(entry.replace(b"a.npy", b"%05d" % i) for i in range(n_members))
    return bytes(data[:place]) + many + bytes(tail)


STATES: dict[str, Callable[[Stranger], bytes]] = {
    "empty": lambda s: b"",
    "no zip": lambda s: b"PK\x03\x04" + b"\0" * 1000,
    "single array": lambda s: npy(np.zeros(3)),
    "compressed": lambda s: npz(s.arrays(), compressed=True),
    "zip bomb": lambda s: archive(
        [("w.npy", header_of(f"({BOMB_BYTES // 8},)") + bytes(BOMB_BYTES))], zipfile.ZIP_DEFLATED
    ),
    "overlapping members": lambda s: overlapping(60_000),
    "huge shape": lambda s: replaced(s.arrays(), "0.w", header_of(f"({1 << 50},)")),
    "shape beyond integers": lambda s: replaced(
        s.arrays(), "0.w", header_of(f"({1 << 60}, {1 << 60})")
    ),
    "negative shape": lambda s: replaced(s.arrays(), "0.w", header_of("(-1,)") + bytes(8)),
    "header runs code": lambda s: replaced(
        s.arrays(), "0.w", header_of(f"(open({str(s.outside / 'ran')!r}, 'w'),)")
    ),
    "long header": lambda s: replaced(
        s.arrays(), "0.w", header_of("(" + "1," * 30_000 + ")", major=2)
    ),
    "nested header": lambda s: replaced(
        s.arrays(), "0.w", header_of("(" * 30_000 + ")" * 30_000, major=2)
    ),
    "pickle in an array": lambda s: replaced(
        s.arrays(), "0.w", header_of("(1,)", "'|O'") + pickle.dumps(Bomb(str(s.outside / "ran")))
    ),
    "pickle alone": lambda s: pickle.dumps(Bomb(str(s.outside / "ran"))),
    "twice the same name": lambda s: twice(s.arrays(), "0.w"),
    "name leads upwards": lambda s: archive([("../outside/precious.npy", npy(np.zeros(3)))]),
    "name is absolute": lambda s: archive([(f"{s.outside}/precious.npy", npy(np.zeros(3)))]),
    "array is missing": lambda s: npz({k: v for k, v in s.arrays().items() if k != "0.w"}),
    "array of text": lambda s: npz(s.arrays() | {"0.w": np.array(["a", "b"])}),
    "array of records": lambda s: npz(s.arrays() | {"0.w": np.zeros(3, "f8,i4")}),
    "wide array": lambda s: npz(s.arrays() | {"0.w": np.zeros((1, 1000))}),
    "weights of NaN": lambda s: npz(s.arrays() | {"0.w": s.arrays()["0.w"] * np.nan}),
    "infinite weights": lambda s: npz(s.arrays() | {"0.w": s.arrays()["0.w"] + np.inf}),
    "label range of NaN": lambda s: npz(s.arrays() | {"label_range": np.full(2, np.nan)}),
    "frequent values nested": lambda s: npz(
        s.arrays() | {"frequent": np.frombuffer(b"[" * 100_000, np.uint8)}
    ),
    "frequent values of another kind": lambda s: npz(
        s.arrays() | {"frequent": np.frombuffer(b'{"a": [[1, "x"]]}', np.uint8)}
    ),
}


def test_hostile_states_are_refused(strangers):
    attacks: dict[str, Attack] = {
        name: lambda s, make=make: s.state(make(s)) for name, make in STATES.items()
    }
    # All commands read a state alike, but training then learns the lake again, which takes long.
    step = 4 if REPEAT == 1 else 1
    check_refused(strangers, attacks, dict.fromkeys(attacks, ("rewind",)), step=step)


# -- model.json and the log ----------------------------------------------------------------------


def describing(**fields: Any) -> Attack:
    """Other values in `model.json`; of its parts by ``part__field``."""

    def change(content: dict[str, Any]) -> None:
        for name, value in fields.items():
            *parts, last = name.split("__")
            place = content
            for part in parts:
                place = place[part]
            place[last] = value

    return lambda stranger: stranger.describe(change)


def logging(place: int, /, **fields: Any) -> Attack:
    """Other values in an entry."""
    return lambda stranger: stranger.log(place, lambda entry: entry.update(fields))


def naming(key: str) -> Attack:
    """A state by another name, which is there."""

    def attack(stranger: Stranger) -> None:
        where = stranger.model / key.format(outside=stranger.outside)
        if not where.exists():
            shutil.copy(stranger.states[-1], where)
        version = len(stranger.entries)
        name = key.format(outside=stranger.outside)
        stranger.log(version, lambda entry: entry["state"].update(key=name))

    return attack


def writing(path: str, data: bytes) -> Attack:
    return lambda stranger: (stranger.model / path).write_bytes(data)


def sparse(path: str, nbytes: int) -> Attack:
    """A file that is huge, but takes no room."""

    def attack(stranger: Stranger) -> None:
        with open(stranger.model / path.format(s=stranger), "r+b") as stream:
            stream.truncate(nbytes)

    return attack


def large_state(stranger: Stranger) -> None:
    for path in stranger.states[:-1]:
        path.unlink()
    os.truncate(stranger.states[-1], 1 << 40)
    stranger.log(len(stranger.entries), lambda entry: entry["state"].update(size=1 << 40))


def levels(n_levels: int) -> list[dict[str, Any]]:
    names = [f"l{i}" for i in range(n_levels)]
    return [{"kind": "one_hot", "name": "a", "family": "text", "levels": names, "missing": False}]


def number(**fields: Any) -> dict[str, Any]:
    column = {"kind": "numeric", "name": "a", "center": 0.0, "scale": 1.0, "missing": False}
    return column | fields


LOG = "log/{:020d}.json".format
DEEP = b"[" * 200_000

DESCRIPTIONS: dict[str, Attack] = {
    "format of the future": describing(format=2),
    "format is a novel": describing(format="\x1b[31m" * 100_000),
    "unknown field": describing(surprise=1),
    "nested": writing("model.json", DEEP),
    "nested within": writing("model.json", b'{"format": 1, "id": ' + DEEP),
    "long number": writing("model.json", b'{"format": 1, "batch_rows": ' + b"9" * 100_000 + b"}"),
    "no text": writing("model.json", b"\xff\xfe{}"),
    "no object": writing("model.json", b"[1]"),
    "steers the terminal": describing(**{"\x1b[2J\x1b]0;owned\x07": 1}),
    "sparse model.json": sparse("model.json", 1 << 40),
    "labels around NaN": describing(encoder__label__center=float("nan")),
    "labels of scale 0": describing(encoder__label__scale=0.0),
    "column around infinity": describing(encoder__columns=[number(center=float("inf"))]),
    "column of scale 0": describing(encoder__columns=[number(scale=0.0)]),
    "too many slots": describing(
        encoder__hash_bits=60,
        encoder__columns=[{"kind": "hashed", "name": "a", "family": "text"}],
    ),
    "huge blocks": describing(batch_rows=1 << 50),
    "many candidates": describing(job__learning_rate=[i + 1.0 for i in range(100_000)]),
    "many quantiles": describing(job__quantile=[i / 1e6 for i in range(1, 99_999)]),
}

ENTRIES: dict[str, Attack] = {
    "state above": naming("../outside/state.npz"),
    "state elsewhere": naming("{outside}/state.npz"),
    "state is the model file": naming("model.json"),
    "state is an entry": naming(LOG(1)),
    "state of another name": naming("state/mine.npz"),
    "state of negative size": lambda s: s.log(4, lambda e: e["state"].update(size=-1)),
    "action of the future": logging(4, action="merge"),
    "field of the future": logging(4, surprise=1),
    "action steers the terminal": logging(4, action="\x1b[2J" * 1000),
    "version is another": logging(4, version=3),
    "version is no number": logging(4, version="four"),
    "attempt leads elsewhere": logging(4, attempt="../" * 10),
    "partition is none": logging(4, partitions=[{"path": "../../etc/passwd"}]),
    "partition is a list": logging(4, partitions=[[]]),
    "partition path is a number": lambda s: s.log(4, lambda e: e["partitions"][0].update(path=7)),
    "partition of row groups that are not there": lambda s: s.log(
        4, lambda e: e["partitions"][0].update(end_row_group=1 << 40)
    ),
    "partition of fewer than no rows": lambda s: s.log(
        4, lambda e: e["partitions"][0].update(rows=-5)
    ),
    "plan of no partitions": lambda s: s.log(1, lambda e: e["groups"][0].update(partitions=[])),
    "plan of nonsense": logging(1, groups=[{"x": 1}] * 300_000),
    "rewind to itself": lambda s: rewind_entry(s, to=5),
    "rewind to the future": lambda s: rewind_entry(s, to=1 << 60),
    "rewind to below zero": lambda s: rewind_entry(s, to=-1),
    "rewind with nonsense": lambda s: rewind_entry(s, to=1, excluded=[{"path": 1}]),
    "nested": writing(LOG(4), DEEP),
    "nested within": writing(LOG(4), b'{"action": "skip", "partition": ' + DEEP),
    "sparse entry": sparse(LOG(4), 1 << 40),
    "entry is empty": writing(LOG(4), b""),
    "gap": lambda s: (s.model / LOG(3)).unlink(),
    "fork": lambda s: shutil.copy(s.model / LOG(3), s.model / "log/00000000000000000003 2.json"),
    "fork of the chain": lambda s: (s.model / LOG(3)).write_bytes(
        sealed(json.loads((s.model / LOG(3)).read_text()) | {"rows": 1})
    ),
    "foreign file": writing("log/README", b"hello"),
    "number beyond all": writing("log/99999999999999999999.json", b"{}"),
    "no model.json": lambda s: (s.model / "model.json").unlink(),
    "another model.json": lambda s: (s.model / "model.json").write_text(
        (s.model / "model.json").read_text().replace('"seed": 0', '"seed": 1')
    ),
}


def rewind_entry(stranger: Stranger, **fields: Any) -> None:
    header = json.loads(stranger.entries[-1].read_text())
    keep = {name: header[name] for name in ("parent_sha256", "attempt", "time")}
    version = len(stranger.entries) + 1
    entry = keep | {"version": version, "action": "rewind", "exclude": [], "excluded": []}
    (stranger.model / LOG(version)).write_bytes(sealed(entry | fields))
    stranger.chain()


def test_hostile_descriptions_are_refused(strangers):
    check_refused(strangers, DESCRIPTIONS)


def test_memory_out_of_proportion_is_not_taken(strangers):
    hashed = [{"kind": "hashed", "name": "a", "family": "text"}]
    attacks = {
        "slots": describing(encoder__hash_bits=26, encoder__columns=hashed),
        "wide": describing(encoder__columns=levels(50_000)),
        "state of a terabyte": large_state,
    }
    cures = {"slots": ("rewind",), "wide": ("rewind",), "state of a terabyte": ("rewind", "train")}
    said = check_refused(strangers, attacks, cures)
    assert "bytes of memory" in said["slots"]
    assert "bytes of memory" in said["wide"]


def test_hostile_logs_are_refused(strangers):
    said = check_refused(strangers, ENTRIES)
    assert "'log/00000000000000000003 2.json' is no entry of a log" in said["fork"]
    assert "does not follow the entry before it" in said["fork of the chain"]
    assert "has a log but no model.json" in said["no model.json"]


# -- links, pipes and devices ----------------------------------------------------------------------


def linked(path: str, *, pipe: bool = False, hard: bool = False) -> Attack:
    """What was at a path is outside now, and a link leads there; or a pipe is in its place."""

    def attack(stranger: Stranger) -> None:
        inside = stranger.model / path.format(s=stranger)
        outside = stranger.outside / inside.name
        if inside.is_dir():
            shutil.move(inside, outside)
        elif inside.exists():
            os.replace(inside, outside)
        else:
            outside.write_text("precious, and longer than any number of a process")
        if pipe:
            os.mkfifo(inside)
        elif hard:
            os.link(outside, inside)
        else:
            inside.symlink_to(outside)

    return attack


def last_state(stranger: Stranger, *, pipe: bool) -> None:
    for path in stranger.states[:-1]:
        path.unlink()
    linked(str(stranger.states[-1].relative_to(stranger.model)), pipe=pipe)(stranger)


def test_links_and_pipes_are_refused(strangers):
    attacks: dict[str, Attack] = {}
    for pipe, kind in ((False, "link"), (True, "pipe")):
        for path in ("model.json", LOG(4), "log", "state"):
            attacks[f"{kind} for {path.replace('/', ' ')}"] = linked(path, pipe=pipe)
        attacks[f"{kind} for a state"] = partial(last_state, pipe=pipe)
    cures = {f"{kind} for a state": ("rewind", "train") for kind in ("link", "pipe")}
    check_refused(strangers, attacks, cures)


def test_lock_that_leads_elsewhere_is_not_written_through(strangers):
    tasks, before = [], {}
    for kind in ("link", "pipe", "hard"):
        stranger = strangers(kind)
        (stranger.model / "writer.lock").unlink(missing_ok=True)
        linked("writer.lock", pipe=kind == "pipe", hard=kind == "hard")(stranger)
        before[stranger.outside] = contents(stranger.outside)
        model = str(stranger.model)
        commands = [["train", "--model", model], ["rewind", model, "--to", "0"]]
        tasks.append({"do": "limited", "commands": commands})
    for outcome in run(*tasks):
        assert [code for code, _ in outcome.value] == [4, 4], outcome
    assert {outside: contents(outside) for outside in before} == before


# -- tags and evaluations --------------------------------------------------------------------------


def tagging(change: Callable[[Stranger, dict[str, Any]], object]) -> Attack:
    """A tag of its newest version that is sound, but for one change, and sealed anew."""

    def attack(stranger: Stranger) -> None:
        tag(stranger.model, "current", "newest")
        path = stranger.model / TAG
        content = json.loads(path.read_text())
        change(stranger, content)
        path.write_bytes(sealed(content))

    return attack


def tag_bytes(data: bytes) -> Attack:
    def attack(stranger: Stranger) -> None:
        tag(stranger.model, "current", "newest")
        (stranger.model / TAG).write_bytes(data)

    return attack


def huge_tag(stranger: Stranger) -> None:
    tag(stranger.model, "current", "newest")
    with open(stranger.model / TAG, "r+b") as stream:
        stream.truncate(BOMB_BYTES)


def tags_elsewhere(stranger: Stranger, *, pipe: bool = False, folder: str = "tags") -> None:
    tag(stranger.model, "current", "newest")
    linked(folder if folder == "evaluations" else "tags", pipe=pipe)(stranger)


TAG = f"tags/{1:020d}.json"

TAGS: dict[str, Attack] = {
    "of no version": tagging(lambda s, tag: tag.update(version=10**9)),
    "of another version": tagging(lambda s, tag: tag.update(version=2)),
    "of a plan": tagging(lambda s, tag: tag.update(version=1, entry_sha256=entry_digest(s, 1))),
    "of a huge number": tagging(lambda s, tag: tag.update(version=10**400)),
    "that leads out": tagging(lambda s, tag: tag.update(name="../../outside/precious")),
    "with control characters": tagging(lambda s, tag: tag.update(name="\x1b[2Jboo")),
    "of another chain": tagging(lambda s, tag: tag.update(parent_sha256="0" * 64)),
    "with a long reason": tagging(lambda s, tag: tag.update(reason="x" * 60_000)),
    "with an unknown field": tagging(lambda s, tag: tag.update(run="rm -rf")),
    "nested": tag_bytes(b"[" * 60_000),
    "huge": huge_tag,
    "empty": tag_bytes(b""),
    "folder is a link": tags_elsewhere,
    "folder is a pipe": partial(tags_elsewhere, pipe=True),
    "evaluations are a link": partial(tags_elsewhere, folder="evaluations"),
}


def entry_digest(stranger: Stranger, version: int) -> str:
    return digest(stranger.entries[version - 1].read_bytes())


def test_hostile_tags_are_refused(strangers):
    said = check_refused(strangers, TAGS, step=3)
    assert "another one now" in said["of another version"]
    assert "another one now" in said["of a plan"]
    assert "\x1b" not in said["with control characters"]


def test_hostile_evaluations_and_announcements_do_no_harm(strangers):
    """Nothing depends on them: every command works, in bounded memory."""
    stranger = strangers("model")
    folder = stranger.model / "evaluations"
    folder.mkdir()
    for number, data in enumerate([b"[" * 500_000, sealed({"version": 1}), b"\xff" * 1000]):
        (folder / f"00000001-{number:032x}.json").write_bytes(data)
    with open(folder / f"00000002-{0:032x}.json", "wb") as stream:
        stream.truncate(BOMB_BYTES)
    (folder / f"00000003-{0:032x}.json").symlink_to(stranger.outside / "precious")
    for name in ("fewest", "expiring"):
        with open(stranger.model / "state" / f"{name}.json", "wb") as stream:
            stream.truncate(BOMB_BYTES)
    before, model = contents(stranger.outside), str(stranger.model)
    lake = json.loads((stranger.model / "model.json").read_text())["job"]["lake"]
    commands = [
        ["summary", model],
        ["evaluate", lake, "--model", model, "--record"],
        ["verify", model, "--no-lake"],
        ["train", "--model", model],
    ]
    (outcome,) = run({"do": "limited", "commands": commands})
    assert [code for code, _ in outcome.value] == [0, 0, 0, 0], outcome
    assert contents(stranger.outside) == before


# -- fuzz ------------------------------------------------------------------------------------------


def test_any_damage_is_refused_or_does_no_harm_and_verify_notices_it(strangers, tmp_path):
    stranger = strangers("fuzz")
    write_files(tmp_path, {"rows.parquet": number_table(20, 5)})
    seed = int(os.environ.get("SEED") or (0 if REPEAT == 1 else time.time()))
    task = {"do": "read_damaged", "model": str(stranger.model), "n_cases": 250 * REPEAT}
    (outcome,) = run(task | {"rows": str(tmp_path / "rows.parquet"), "seed": seed})
    assert outcome.code == 0, f"SEED={seed}: {outcome}"
    assert not outcome.value["wrong"], f"SEED={seed}: {outcome.value['wrong'][:20]}"
    counts = outcome.value["counts"]
    assert sum(counts.values()) == 250 * REPEAT
    assert min(counts.values()) > 5 * REPEAT, counts
