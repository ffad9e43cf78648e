"""The connection to a scheduler, and the thread in which all talk with a cluster runs."""

from __future__ import annotations

import asyncio
import logging
import operator
import pickle
import warnings
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from threading import Thread
from typing import Any, TypeVar
from uuid import uuid4

from onepass.errors import JobError

T = TypeVar("T")

_logger = logging.getLogger("onepass.cluster")


def serialized(call: Callable[[Any], Any]) -> bytes:
    """Pickle a call, functions of `__main__` included."""
    from distributed.protocol.pickle import dumps

    return bytes(dumps(call))  # type: ignore[no-untyped-call]


class Connection:
    """A client of a scheduler; all methods are coroutines of one event loop."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._client: Any = None

    async def open(self, seconds: float) -> None:
        """Connect, in place of an older connection.

        Raises
        ------
        OSError, ValueError
            If no scheduler answers within some seconds, or the address cannot be used.
        """
        from distributed import Client

        await self.close()
        with warnings.catch_warnings():
            # Versions are compared by `onepass.environment`, worker by worker.
            warnings.simplefilter("ignore")
            self._client = Client(  # type: ignore[no-untyped-call]
                self.address,
                asynchronous=True,
                set_as_default=False,
                timeout=seconds,
                name="onepass",
            )
            try:
                await self._client
            except BaseException:
                await self.close()
                raise

    @property
    def is_open(self) -> bool:
        """Whether the connection holds, as far as this side knows."""
        return self._client is not None and self._client.status == "running"

    async def close(self) -> None:
        """Close the connection; results that wait on workers are dropped."""
        client, self._client = self._client, None
        if client is not None:
            with suppress(OSError):
                await asyncio.wait_for(client.close(), 5)

    async def workers(self, seconds: float) -> dict[str, dict[str, Any]]:
        """Return the scheduler's list of workers, by address.

        Raises
        ------
        OSError, TimeoutError
            If it does not answer.
        """
        if not self.is_open:
            raise OSError(f"the connection to {self.address} is lost")
        answer = self._client.scheduler.identity(n_workers=-1)
        workers: dict[str, dict[str, Any]] = (await asyncio.wait_for(answer, seconds))["workers"]
        return workers

    async def scatter(self, value: Any, workers: list[str], seconds: float) -> Any:
        """Send a value to each of some workers, from where others can fetch it."""
        with self._held() as client:
            sent = client.scatter(
                value, workers=workers, broadcast=len(workers) > 1, hash=False, direct=False
            )
            return await asyncio.wait_for(sent, seconds)

    def submit(self, call: bytes, shared: Any, worker: str) -> Any:
        """Let one worker make a call, and return a future.

        The scheduler unpickles graphs. It sees bytes here, so it needs no onepass.
        """
        key = f"onepass-{uuid4().hex}"
        graph = {key: (operator.call, (pickle.loads, call), shared)}
        with self._held() as client:
            return client.get(graph, key, sync=False, workers=[worker], allow_other_workers=False)

    async def gather(self, future: Any) -> Any:
        """Return the result of a call that has ended."""
        with self._held() as client:
            return await client.gather(future)

    @contextmanager
    def _held(self) -> Iterator[Any]:
        """Give the client; errors of one that loses its connection meanwhile become an `OSError`.

        Its methods then raise whatever happens, such as an `AttributeError`.
        """
        client = self._client
        if client is None or client.status not in {"running", "connecting"}:
            raise OSError(f"the connection to {self.address} is lost")
        try:
            yield client
        except Exception as error:
            if isinstance(error, OSError) or client.status == "running":
                raise
            raise OSError(f"the connection to {self.address} is lost") from error


class LoopThread:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._run, name="onepass-cluster", daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine, and return its result."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    def call(self, function: Callable[..., object], *arguments: object) -> None:
        """Call a function soon, in the thread of the loop."""
        self.loop.call_soon_threadsafe(function, *arguments)

    def close(self) -> None:
        """End all coroutines and the thread."""
        self.run(_cancel_all())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()
        asyncio.set_event_loop(None)


async def _cancel_all() -> None:
    # A coroutine that ends may have begun another one.
    while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the logs of `distributed`, which tell of each fault that is dealt with here.

    The option --debug lets them be.
    """
    if _logger.isEnabledFor(logging.DEBUG):
        yield
        return
    names = [name for name in logging.Logger.manager.loggerDict if name.startswith("distributed")]
    loggers = [logging.getLogger(name) for name in {"distributed", *names}]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def import_distributed() -> None:
    """Import `distributed`.

    Raises
    ------
    JobError
        If it is not installed.
    """
    try:
        import distributed  # noqa: F401
    except ImportError:
        raise JobError(
            "--dask needs the extra 'distributed': pip install 'onepass[distributed]'"
        ) from None
