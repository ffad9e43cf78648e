"""Tasks in processes of their own: forks of one that has imported onepass but trained nothing.

A fork costs 0.1 s where a new interpreter costs 2 s, so that a process can be killed at each of
its steps in turn. Run as a script, this reads orders of tasks from stdin, a line each, and prints
their outcomes.
"""

from __future__ import annotations

import atexit
import io
import itertools
import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from contextlib import nullcontext, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

STEPS_OF_A_COMMIT = ("fsync", "link", "replace", "unlink", "mkdir")
"""Functions of `os` through which a store touches the disk."""


@dataclass(frozen=True)
class Outcome:
    """How a task ended."""

    code: int
    """Exit code, or the negative number of the signal that ended it."""
    value: Any
    """What it returned; None if it was killed or failed."""
    err: str


def run(*tasks: dict[str, Any], together: bool = False) -> list[Outcome]:
    """Outcomes of tasks ``{"do": name, ...arguments}``, one after the other or all at once.

    They run in the folder and with the environment that this process has now.
    """
    order = {"tasks": tasks, "together": together, "cwd": os.getcwd(), "env": dict(os.environ)}
    return [Outcome(**fields) for fields in _server().outcomes(order)]


class _Server:
    """The process that tasks are forked from."""

    def __init__(self) -> None:
        command = [sys.executable, __file__]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)

    def outcomes(self, order: dict[str, Any]) -> list[dict[str, Any]]:
        """Let an order be done, and return the outcomes of its tasks."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the process that tasks are forked from has ended; see its stderr"
        return list(json.loads(line))

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


@cache
def _server() -> _Server:
    server = _Server()
    atexit.register(server.close)
    return server


def train_or_die(
    job: dict[str, Any],
    *,
    die_at: Literal["advanced", "committed", "commit"] | None = None,
    call: int = 0,
    sleep: float = 0.0,
    locked: bool = True,
    split_bytes: int | None = None,
    block_rows: int | None = None,
) -> dict[str, Any]:
    """Train; die of SIGKILL at the `call`-th step named by `die_at`, or sleep after each block.

    ``commit`` are the steps of `STEPS_OF_A_COMMIT`, the others those of `recording.At`.
    """
    from onepass.lake.limits import DEFAULT_LIMITS, ReadLimits
    from onepass.ledger.store import LocalStore
    from onepass.training.limits import LIMITS, Limits
    from onepass.training.session import open_session
    from recording import At

    if die_at == "commit":
        _die_at_step_of_a_commit(call)
    if die_at in {"advanced", "committed"}:
        progress = At(die_at, lambda _: _die(), call)
    else:
        progress = At("advanced", lambda _: time.sleep(sleep), call=None)
    if not locked:
        LocalStore.exclusive = lambda self: nullcontext()  # type: ignore[method-assign]
    read = ReadLimits(split_bytes=split_bytes) if split_bytes else DEFAULT_LIMITS
    limits = Limits(block_rows or LIMITS.max_batch_rows, read)
    with open_session(job, progress, limits=limits) as session:
        return session.train().model_dump()


def train_several_or_die(
    job: dict[str, Any], *, die_at: Literal["commit"], call: int
) -> dict[str, str]:
    """Train the models of several labels; die of SIGKILL at the `call`-th step of a commit."""
    from several import train

    assert die_at == "commit"
    _die_at_step_of_a_commit(call)
    return {label: str(error) for label, error in train(job).items()}


def score_or_die(
    lake: str, model: str, out: str, *, die_at: int | None = None, sleep: float = 0.0
) -> dict[str, Any]:
    """Score; die of SIGKILL at the `die_at`-th block, or sleep after each block."""
    from onepass import score
    from recording import At

    progress = At("advanced", lambda _: time.sleep(sleep), call=None)
    if die_at is not None:
        progress = At("advanced", lambda _: _die(), die_at)
    return score(lake, model, out, progress=progress).model_dump()


def act_or_die(
    act: Literal["tag", "publish"], job: dict[str, Any], *, call: int, **given: Any
) -> Any:
    """Tag or publish a version; die of SIGKILL at the `call`-th step of `STEPS_OF_A_COMMIT`."""
    from onepass import tag
    from onepass.actions.publish import publish
    from onepass.job_fields import resume_job
    from onepass.model.directory import open_model

    opened = open_model(job["model"])
    _die_at_step_of_a_commit(call)
    if act == "tag":
        return tag(job["model"], **given).tags[-1].version
    return publish(opened, resume_job(opened.file.job, job)).current


def command_line(argv: list[str], *, uid: int | None = None) -> None:
    """The command, as another user if one is given."""
    from onepass.cli import main

    if uid is not None:
        os.setgid(uid)
        os.setuid(uid)
    main(argv)


def limited(
    commands: list[list[str]], *, more_bytes: int = 512 << 20, seconds: int = 30
) -> list[tuple[int, str]]:
    """Exit code and stderr of commands, with so much more memory and time, and no more."""
    from onepass.cli import main

    _set_limits(more_bytes, seconds)
    outcomes = []
    for argv in commands:
        code, err = 0, io.StringIO()
        try:
            with redirect_stderr(err), redirect_stdout(io.StringIO()):
                main(argv)
        except SystemExit as ended:
            code = int(ended.code or 0)
        outcomes.append((code, err.getvalue()))
    return outcomes


def read_damaged(
    model: str, rows: str, *, n_cases: int, seed: int, more_bytes: int = 512 << 20
) -> dict[str, Any]:
    """Damage a file of a model, read the model, put it back; `n_cases` times.

    Returns how often it was refused, read as it was, and read at an older version; and cases in
    which it was neither, or `verify` said that all was well.
    """
    import numpy as np
    import pyarrow.parquet as pq

    from onepass import Model, verify
    from onepass.errors import ForeignModel
    from onepass.ledger.entries import AnyEntry
    from onepass.model.directory import open_model

    rng, table = np.random.default_rng(seed), pq.read_table(rows)
    files = [path for path in sorted(Path(model).rglob("*.*")) if path.suffix in {".json", ".npz"}]

    def seen() -> tuple[int, bytes, list[AnyEntry]]:
        found = Model.load(model)
        return found.version, found.predict(table).tobytes(), open_model(model).ledger.entries

    _set_limits(more_bytes, 60 + n_cases)
    newest, predictions, entries = seen()
    older = {}
    hidden = Path(model) / entries[newest - 1].state.key  # type: ignore[union-attr]
    hidden.rename(hidden.with_suffix(".away"))
    version, before, _ = seen()
    older[version] = before
    hidden.with_suffix(".away").rename(hidden)
    counts = {"refused": 0, "same": 0, "older": 0}
    wrong = []
    for case in range(n_cases):
        path = files[rng.integers(len(files))]
        whole = path.read_bytes()
        what, damaged = _damaged(whole, rng)
        path.write_bytes(damaged)
        try:
            at, found, log = seen()
            if (at, found, log) == (newest, predictions, entries):
                counts["same"] += 1
            elif log == entries and older.get(at) == found and path.suffix == ".npz":
                counts["older"] += 1
            else:
                wrong.append(f"case {case}, {path.name} {what}: other results")
        except ForeignModel:
            counts["refused"] += 1
        if verify(model, check_lake=False).exit_code != 4:
            wrong.append(f"case {case}, {path.name} {what}: not noticed")
        path.write_bytes(whole)
    return {"counts": counts, "wrong": wrong}


def _damaged(whole: bytes, rng: Any) -> tuple[str, bytes]:
    data, place = bytearray(whole), int(rng.integers(len(whole)))
    match int(rng.integers(5)):
        case 0:
            return f"cut at {place}", whole[:place]
        case 1:
            value = int(rng.integers(1, 256))
            data[place] ^= value
            return f"byte {place} ^ {value}", bytes(data)
        case 2:
            return f"byte {place} left out", whole[:place] + whole[place + 1 :]
        case 3:
            return f"more at {place}", whole[:place] + rng.bytes(8) + whole[place:]
        case _:
            bit = int(rng.integers(8))
            data[place] ^= 1 << bit
            return f"bit {bit} of byte {place}", bytes(data)


def _set_limits(more_bytes: int, seconds: int) -> None:
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + more_bytes, size + more_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    # A process that waits for ever uses no processor.
    signal.alarm(4 * seconds)


def killed_at_random(
    jobs: list[dict[str, Any]], *, n_kills: int, seed: int, block_rows: int
) -> dict[str, Any]:
    """Train models one after the other in processes that are killed at random times.

    Each process appends the number of a version to a file once it is told that it is durable. That
    file is the oracle: whatever it names must be in the log for ever.

    Parameters
    ----------
    jobs
        Of one lake, each with a model of its own; a model that is finished makes room for the next.
        The first one is trained without a kill, to know how long that takes on this machine.

    Returns
    -------
    Number of kills, of those that came after a commit of the process, of models that were finished,
    digests of their states, and what was wrong.
    """
    rng = random.Random(seed)
    counts = {"kills": 0, "after a commit": 0, "finished": 0}
    states, wrong = [], []
    began = time.monotonic()
    _killed_after(60.0, jobs[0], Path(jobs[0]["model"]).with_suffix(".whole"), block_rows)
    whole = time.monotonic() - began
    for job in itertools.cycle(jobs):
        if counts["kills"] >= n_kills:
            break
        shutil.rmtree(job["model"], ignore_errors=True)
        oracle = Path(job["model"]).with_suffix(".acknowledged")
        oracle.write_text("")
        entries: list[bytes] = []
        code = -signal.SIGKILL
        while code == -signal.SIGKILL:
            known = oracle.read_text()
            # Lives grow, because on a busy machine none might be long enough for a commit.
            life = rng.uniform(0.0, whole) * (1 + 0.02 * counts["kills"] / (1 + len(states)))
            code = _killed_after(life, job, oracle, block_rows)
            counts["kills"] += code != 0
            counts["after a commit"] += code != 0 and oracle.read_text() != known
            acknowledged = [int(line) for line in oracle.read_text().split()]
            entries, faults = _looked_at(Path(job["model"]), entries, acknowledged)
            wrong += [f"kill {counts['kills']}: {fault}" for fault in faults]
        if code != 0:
            wrong.append(f"exit code {code}")
            break
        counts["finished"] += 1
        states.append(json.loads(entries[-1])["state"]["sha256"])
    return {**counts, "states": states, "wrong": wrong}


def _killed_after(seconds: float, job: dict[str, Any], oracle: Path, block_rows: int) -> int:
    from onepass.training.limits import Limits
    from onepass.training.session import open_session
    from recording import At

    def acknowledge(entry: Any) -> None:
        with open(oracle, "a") as stream:
            stream.write(f"{entry.version}\n")

    child = os.fork()
    if not child:
        code = 1
        try:
            limits = Limits(max_batch_rows=block_rows)
            progress = At("committed", acknowledge, call=None)
            with open_session(job, progress, limits=limits) as session:
                session.train()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _looked_at(
    model: Path, before: list[bytes], acknowledged: list[int]
) -> tuple[list[bytes], list[str]]:
    """Entries of the log now, and what is wrong with them."""
    from onepass.ledger.store import open_store
    from onepass.model.directory import model_exists, open_model

    faults = []
    if not model_exists(open_store(model)):
        return [], ["a model that was there is gone"] if before else []
    ledger = open_model(str(model)).ledger
    logs = sorted(model.glob("log/*.json"))
    entries = [path.read_bytes() for path in logs]
    if entries[: len(before)] != before:
        faults.append("the log is no extension of what it was")
    if max(acknowledged, default=0) > ledger.version:
        faults.append(f"version {max(acknowledged)} was acknowledged, {ledger.version} is newest")
    trained = [p.path for entry in ledger.history.trained() for p in entry.partitions]
    if len(set(trained)) != len(trained):
        faults.append(f"trained twice: {trained}")
    for entry in ledger.history.trained()[-3:]:
        ledger.read_state(entry)
    return entries, faults


def race(
    place: str, *, n_writers: int, n_rounds: int, want: Literal["version", "tag"]
) -> dict[str, Any]:
    """Let writers on a barrier want the same version, or move of a tag, round after round.

    Returns
    -------
    Rounds won by each writer, and winners of each round.
    """
    context = multiprocessing.get_context("fork")
    start, answers = context.Barrier(n_writers, timeout=60), context.SimpleQueue()
    racers = [
        context.Process(target=_racer, args=(place, n_rounds, want, start, answers))
        for _ in range(n_writers)
    ]
    for racer in racers:
        racer.start()
    wins = [answers.get() for _ in racers]
    for racer in racers:
        racer.join()
    winners = [sum(each) for each in zip(*wins, strict=True)]
    return {"won": [sum(each) for each in wins], "winners": winners}


def _racer(place: str, n_rounds: int, want: str, start: Any, answers: Any) -> None:
    from lakes import logged_training
    from onepass.errors import ModelConflict
    from onepass.ledger.ledger import Ledger
    from onepass.ledger.store import open_store

    won = []
    for number in range(n_rounds):
        ledger = Ledger(open_store(place), "0" * 64)
        seen = ledger.tags.get("production")
        assert want == "tag" or ledger.version == number
        start.wait()
        try:
            if want == "tag":
                ledger.tags.move("production", 1 + number % 3, by="user", expect=seen)
            else:
                ledger.commit_train(os.urandom(64), logged_training("part"))
            won.append(1)
        except ModelConflict:
            won.append(0)
        start.wait()
    answers.put(won)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _die_at_step_of_a_commit(call: int) -> None:
    calls = itertools.count(1)

    def counted(real: Any) -> Any:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            if next(calls) == call:
                _die()
            return real(*args, **kwargs)

        return wrapped

    for name in STEPS_OF_A_COMMIT:
        setattr(os, name, counted(getattr(os, name)))


def _start(task: dict[str, Any], order: dict[str, Any], folder: Path) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for name, number in (("out", 1), ("err", 2)):
            os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT), number)
        os.chdir(order["cwd"])
        os.environ.clear()
        os.environ.update(order["env"])
        arguments = {name: value for name, value in task.items() if name != "do"}
        value = globals()[task["do"]](**arguments)
        (folder / "value").write_text(json.dumps(value))
        code = 0
    except SystemExit as error:
        code = int(error.code or 0)
    except BaseException as error:
        traceback.print_exc()
        code = getattr(error, "exit_code", 1)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _end(child: int, folder: Path) -> dict[str, Any]:
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    value = json.loads((folder / "value").read_text()) if code == 0 and _has_value(folder) else None
    return {"code": code, "value": value, "err": (folder / "err").read_text()}


def _has_value(folder: Path) -> bool:
    return (folder / "value").exists()


def warm_up() -> None:
    """Load once what each child would load at first use; no thread may be started here."""
    import numpy as np

    from onepass.block import Block
    from onepass.learn.firstorder.solver import FirstOrder, Steps
    from onepass.learn.losses import Loss
    from onepass.learn.newton.newton import Newton

    y = np.arange(8) % 2.0
    block = Block(np.ones((8, 1), np.float32), np.zeros((8, 0), np.int32), y, np.ones(8))
    for loss in (Loss("squared"), Loss("logistic")):
        Newton(loss, 1).update(block)
        FirstOrder("sgd", loss, 1, 0, Steps(0.1)).update(block)


def _outcomes(order: dict[str, Any]) -> list[dict[str, Any]]:
    tasks = order["tasks"]
    with tempfile.TemporaryDirectory() as root:
        folders = [Path(root) / str(i) for i in range(len(tasks))]
        for folder in folders:
            folder.mkdir()
        pairs = zip(tasks, folders, strict=True)
        if order["together"]:
            children = [_start(task, order, folder) for task, folder in pairs]
            return [_end(*pair) for pair in zip(children, folders, strict=True)]
        return [_end(_start(task, order, folder), folder) for task, folder in pairs]


def _main() -> None:
    import onepass.actions.rewind
    import onepass.actions.summary
    import onepass.actions.train
    import onepass.actions.verify
    import onepass.cli.train
    import onepass.survey.survey  # noqa: F401
    import recording  # noqa: F401

    # The folder of the test that needed this process first is away by the next one.
    os.chdir("/")
    # A kill takes nothing from the kernel, which therefore need not wait for the disk.
    os.fsync = lambda descriptor: None
    warm_up()
    for line in sys.stdin:
        print(json.dumps(_outcomes(json.loads(line))), flush=True)


if __name__ == "__main__":
    _main()
