"""Fixtures that tests share."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from lakes import number_table
from onepass.wording import speaking

if TYPE_CHECKING:
    from cluster import Forks
    from places import Place
    from s3 import Proxy, Server


@pytest.fixture(autouse=True)
def messages_as_written(request: pytest.FixtureRequest) -> Iterator[None]:
    """Messages have flags, as the source does; those of flows have fields, as users see them."""
    with speaking("fields" if "flows" in request.path.parts else "flags"):
        yield


@pytest.fixture(autouse=True, scope="session")
def disk_that_loses_nothing() -> Iterator[None]:
    """The power stays on in this process, so that nothing has to wait for the disk.

    A run asks the disk to keep what it has written some thirty times, which takes as long as the
    learning of a small lake. Tests of what a store asks for count the calls, and those of
    ``faults/test_syscalls.py`` see what a process of its own asks the kernel.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


LONGEST = (
    "flows/test_production.py",
    "flows",
    "test_benchmarks.py",
    "model/test_memory.py",
    "faults",
)
"""Files and folders that take longest: they begin first, so that no process ends long after."""


WITH_SERVERS_OF_THEIR_OWN = ("flows/test_production.py", "flows/test_schedule.py")
"""Tests of flows that wait for Prefect most of the time, beside which others can run."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest tests first."""
    root = Path(__file__).parent

    def turn(item: pytest.Item) -> int:
        path = str(item.path.relative_to(root))
        found = [i for i, start in enumerate(LONGEST) if path.startswith(start)]
        return min(found, default=len(LONGEST))

    items.sort(key=turn)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Run each file in one process, and tests of flows in one, beside one Prefect server."""
    from xdist.scheduler import LoadFileScheduling

    class Files(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            is_flow = "tests/flows/" in file and not file.endswith(WITH_SERVERS_OF_THEIR_OWN)
            return "flows" if is_flow else file

    # xdist would begin with the files that have the most tests, and end with a long one.
    config.option.loadscopereorder = False
    return Files(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real data sets; skips where there is none."""
    folder = os.environ.get("ONEPASS_REAL_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("ONEPASS_REAL_DATA does not name a folder with the real data sets")
    return Path(folder).resolve()


@pytest.fixture
def make_lake(tmp_path: Path) -> Callable[..., Path]:
    """Write a lake of ``part-N.parquet`` files with `number_table` rows; returns its folder."""

    def make(
        n_files: int = 6, n_rows: int = 400, *, classes: bool = False, name: str = "lake"
    ) -> Path:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        for i in range(n_files):
            table = number_table(n_rows + 37 * i, seed=i, classes=classes)
            pq.write_table(table, folder / f"part-{i}.parquet", row_group_size=150)
        return folder

    return make


@pytest.fixture
def onepass(
    capfd: pytest.CaptureFixture[str],
) -> Iterator[Callable[..., tuple[int, str, str]]]:
    """Run the command in this process; returns exit code, stdout and stderr."""
    from onepass.cli import main

    handler = signal.getsignal(signal.SIGTERM)

    def call(*arguments: object) -> tuple[int, str, str]:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        return (int(ended.value.code or 0), *capfd.readouterr())

    yield call
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """A shell that starts the tests in the background lets them ignore interrupts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[Server]:
    """An S3 server on loopback, started when the first test needs it."""
    from s3 import Server

    server = Server()
    yield server
    server.stop()


@pytest.fixture
def bucket(s3_server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """URL of an empty bucket of its own, with the environment set for it and nothing else."""
    from onepass.cloud.connect import forget
    from s3 import KEY_ID, SECRET

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY_ID)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.url)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ONEPASS_STORE_TIMEOUT", "5")
    monkeypatch.setenv("ONEPASS_STORE_DEADLINE", "10")
    name = f"test-{uuid.uuid4().hex[:12]}"
    s3_server.make_bucket(name)
    forget()
    yield f"s3://{name}"
    forget()


@pytest.fixture
def upload(bucket) -> Callable[[Path, str], str]:
    """Copy a folder into the bucket; returns its URL."""

    from onepass.cloud.connect import connect
    from onepass.cloud.url import parse_url

    def copy(folder: Path, name: str) -> str:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                connect(parse_url(bucket)).put(f"{name}/{path.relative_to(folder)}", path)
        return f"{bucket}/{name}"

    return copy


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    """What starts Dask schedulers and workers, with the first test that needs them."""
    pytest.importorskip("distributed")
    from cluster import Forks

    forks = Forks()
    yield forks
    forks.close()


@pytest.fixture(params=["local", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Where lake and model are: once the local disk, once a bucket."""
    from places import Place

    if request.param == "local":
        return Place(str(tmp_path), str, is_local=True)
    bucket, upload = (request.getfixturevalue(name) for name in ("bucket", "upload"))
    return Place(bucket, lambda lake: upload(lake, f"lakes/{lake.name}"), is_local=False)


@pytest.fixture
def s3_lake(upload, make_lake) -> str:
    """URL of a lake of four files; `make_lake` has it as well."""
    return upload(make_lake(4), "lakes/numbers")


@pytest.fixture
def through(s3_server, monkeypatch) -> Callable[[Proxy], None]:
    """Send everything through a proxy from now on."""

    from onepass.cloud.connect import forget

    def send(proxy: Proxy) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        forget()

    return send
