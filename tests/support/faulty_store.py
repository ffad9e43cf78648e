"""Storage that fails as disks, networks and servers do, reproducibly from a seed.

`FaultyBucket` replaces the obstore store below a `Bucket`. `FaultyStore` wraps a ledger's store.
`FaultyDisk` patches the system calls below a `LocalStore`: it remembers what has been synced, and a
power cut removes the rest, or parts of it.
"""

from __future__ import annotations

import errno
import os
import random
import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from obstore.exceptions import AlreadyExistsError, GenericError, PreconditionError
from obstore.store import MemoryStore

from onepass.ledger.store import Content, Store


class PowerCut(BaseException):
    """Raised where the process dies; not an `Exception`, so that no handler catches it."""


class FaultyBucket:
    """An obstore store in memory behind a bad network.

    Parameters
    ----------
    seed
        Seed of the faults.
    rate
        Share of requests that fail.
    """

    def __init__(self, seed: int, rate: float) -> None:
        self.honest = MemoryStore()
        self.rate = rate
        self.happened: Counter[str] = Counter()
        """Number of faults by kind."""
        self._random = random.Random(seed)
        self._under_way: list[Callable[[], object]] = []
        self._newest: list[str] = []

    def put(self, path: str, data: Any, **options: Any) -> Any:
        body = data if isinstance(data, bytes) else data.read()
        creates = options.get("mode") == "create"

        def write() -> Any:
            found = self.honest.put(path, body, **({"mode": "create"} if creates else {}))
            self._newest = [*self._newest[-3:], path]
            return found

        match self._fault("before", "after", "late", "cut", "torn", "409", "412"):
            case "late":
                # The client gives up, and the request arrives later all the same.
                self._under_way.append(write)
                raise _passing("timed out")
            case "409" | "412" as status if creates:
                # A conflict with a request that then fails, or with this client's own request.
                if self._random.random() < 0.5:
                    write()
                kind = AlreadyExistsError if status == "409" else PreconditionError
                raise kind(f"status code: {status}")
            case "torn" if not creates:
                self.honest.put(path, body[: self._random.randrange(len(body) + 1)])
                raise PowerCut
            case fault:
                return self._with(fault, write)

    def get(self, path: str, **options: Any) -> Any:
        return self._with(self._fault("before", "cut"), lambda: self.honest.get(path, **options))

    def head(self, path: str) -> Any:
        return self._with(self._fault("before", "cut"), lambda: self.honest.head(path))

    def delete(self, path: str) -> Any:
        return self._with(self._fault("before", "after", "cut"), lambda: self.honest.delete(path))

    def list_with_delimiter(self, path: str) -> Any:
        fault = self._fault("before", "cut", "twice", "lagging")
        found = self._with(fault, lambda: self.honest.list_with_delimiter(path))
        objects = list(found["objects"])
        if fault == "twice":
            objects += self._random.sample(objects, min(2, len(objects)))
        if fault == "lagging":
            hidden = self._newest[self._random.randrange(len(self._newest) + 1) :]
            objects = [one for one in objects if one["path"] not in hidden]
        return {"objects": objects, "common_prefixes": found["common_prefixes"]}

    def _fault(self, *kinds: str) -> str | None:
        self._arrive()
        if self._random.random() >= self.rate:
            return None
        kind = self._random.choice(kinds)
        self.happened[kind] += 1
        return kind

    def _arrive(self) -> None:
        """Let each request that its client has given up arrive with some probability."""
        for write in list(self._under_way):
            if self._random.random() < 0.3:
                self._under_way.remove(write)
                try:
                    write()
                except AlreadyExistsError:
                    continue

    def _with(self, fault: str | None, action: Callable[[], Any]) -> Any:
        if fault == "before":
            raise _passing("status code: 503")
        if fault == "cut" and self._random.random() < 0.5:
            raise PowerCut
        found = action()
        if fault == "after":
            raise _passing("error sending request")
        if fault == "cut":
            raise PowerCut
        return found


def _passing(text: str) -> GenericError:
    return GenericError(text)


class FaultyStore:
    """A `Store` whose calls fail before or after they have succeeded.

    Parameters
    ----------
    store
        The sound store.
    seed, rate
        As in `FaultyBucket`.
    """

    def __init__(self, store: Store, seed: int, rate: float) -> None:
        self._store, self._rate = store, rate
        self._random = random.Random(seed)
        self.happened: Counter[str] = Counter()
        """Number of faults by kind."""

    @property
    def place(self) -> str:
        return self._store.place

    def create(self, key: str, data: bytes) -> bool:
        fault = self._fault("before", "after", "cut", "denies")
        found = self._with(fault, lambda: self._store.create(key, data))
        return found and fault != "denies"

    def put(self, key: str, data: Content, *, durable: bool = True) -> None:
        if self._fault("torn") and isinstance(data, bytes):
            self._store.put(key, data[: self._random.randrange(len(data) + 1)])
            raise PowerCut
        fault = self._fault("before", "after", "cut")
        self._with(fault, lambda: self._store.put(key, data, durable=durable))

    def get(self, key: str, *, most_bytes: int | None = None) -> bytes:
        return self._with(
            self._fault("before", "cut"), lambda: self._store.get(key, most_bytes=most_bytes)
        )

    def exists(self, key: str) -> bool:
        return self._with(self._fault("before", "cut"), lambda: self._store.exists(key))

    def list(self, prefix: str) -> list[str]:
        fault = self._fault("before", "cut", "lagging", "twice")
        found = self._with(fault, lambda: self._store.list(prefix))
        if fault == "lagging":
            return found[: len(found) - self._random.randrange(3)]
        return sorted(found + found[-1:]) if fault == "twice" else found

    def delete(self, key: str) -> None:
        self._with(self._fault("before", "after", "cut"), lambda: self._store.delete(key))

    def exclusive(self) -> AbstractContextManager[None]:
        return self._store.exclusive()

    def _fault(self, *kinds: str) -> str | None:
        if self._random.random() >= self._rate:
            return None
        kind = self._random.choice(kinds)
        self.happened[kind] += 1
        return kind

    def _with(self, fault: str | None, action: Callable[[], Any]) -> Any:
        if fault == "before":
            raise OSError(errno.EIO, "Input/output error")
        found = action()
        if fault == "after":
            raise OSError(errno.EIO, "Input/output error")
        if fault == "cut":
            raise PowerCut
        return found


class FaultyDisk:
    """A folder that keeps what was synced through a power cut, and any part of the rest.

    A file's content is safe from its fsync on, and a name from the fsync of its folder on. Each
    other change may survive or not, independently; content that was not synced is cut off anywhere.

    Parameters
    ----------
    root
        The folder.
    patch
        Restores the functions of `os` at the end of the test.
    seed, rate
        Seed of the power cuts, and the share of calls at which one comes.
    """

    STEPS = ("fsync", "link", "replace", "unlink", "mkdir")

    def __init__(self, root: Path, patch: pytest.MonkeyPatch, seed: int, rate: float) -> None:
        self._root, self._rate = root, rate
        self._random = random.Random(seed)
        self._contents: dict[int, bytes] = {}
        self._names: dict[Path, set[str]] = {root: set()}
        self.cuts = 0
        """Power cuts so far."""
        self._is_off = False
        root.mkdir(parents=True)
        self._real = {name: getattr(os, name) for name in self.STEPS}
        # This class keeps track of what is synced, so the real disk need not be waited for.
        self._real["fsync"] = lambda descriptor: None
        for name in self.STEPS:
            patch.setattr(os, name, self._step(name))

    def _step(self, name: str) -> Callable[..., Any]:
        def step(*arguments: Any, **options: Any) -> Any:
            if self._is_off:
                # Without power, a process does not clean up either.
                raise PowerCut
            if self._random.random() < self._rate:
                self._is_off = True
                raise PowerCut
            found = self._real[name](*arguments, **options)
            if name == "fsync":
                self._synced(arguments[0])
            return found

        return step

    def _synced(self, descriptor: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        if path.is_dir():
            self._names[path] = set(os.listdir(path))
            return
        self._contents[os.fstat(descriptor).st_ino] = path.read_bytes()

    def power_returns(self) -> None:
        """Remove what the power cut has not kept, and work again."""
        self._is_off = False
        self.cuts += 1
        real, patched = self._real, {name: getattr(os, name) for name in self.STEPS}
        for name in self.STEPS:
            setattr(os, name, real[name])
        try:
            self._forget(self._root)
        finally:
            for name in self.STEPS:
                setattr(os, name, patched[name])

    def _remove(self, path: Path) -> None:
        if not path.is_dir():
            return path.unlink()
        shutil.rmtree(path)
        self._names = {k: v for k, v in self._names.items() if not k.is_relative_to(path)}
        return None

    def _forget(self, folder: Path) -> None:
        safe = self._names.get(folder, set())
        for name in sorted(os.listdir(folder)):
            path = folder / name
            if name not in safe and self._random.random() < 0.5:
                self._remove(path)
            elif path.is_dir():
                self._forget(path)
            elif self._contents.get(path.stat().st_ino) != path.read_bytes():
                data = path.read_bytes()
                path.write_bytes(data[: self._random.randrange(len(data) + 1)])
                self._contents[path.stat().st_ino] = path.read_bytes()
        self._names[folder] = set(os.listdir(folder))
