"""Wake a watch when something changes below a folder, where the system tells of it."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from onepass.cloud.url import is_url

logger = logging.getLogger(__name__)


@contextmanager
def waking(lake: str, wake: threading.Event) -> Iterator[str]:
    """Set an event whenever a file below a lake changes; yield a text that says how.

    The system is asked through the library watchfiles (inotify on Linux). It tells nothing of
    object stores, of writes of other machines to a network disk, or below links to folders, so a
    watch must list the lake from time to time as well.
    """
    root = _root(lake)
    if root is None or find_spec("watchfiles") is None:
        yield "" if root is None else " (pip install 'onepass[watch]' notices files at once)"
        return
    from watchfiles import watch

    stop = threading.Event()

    def listen() -> None:
        for _ in watch(
            root, watch_filter=None, stop_event=stop, rust_timeout=500, raise_interrupt=False
        ):
            wake.set()

    thread = threading.Thread(target=_quietly, args=(listen, root), name="wakes", daemon=True)
    thread.start()
    try:
        yield " and when the system tells of a change"
    finally:
        stop.set()
        thread.join(2)


def _quietly(listen: Callable[[], None], root: str) -> None:
    try:
        listen()
    except Exception as error:  # The limit of inotify, a folder that is gone: looks go on.
        logger.warning("changes below %s are noticed by looking only: %s", root, error)


def _root(lake: str) -> str | None:
    """Return the folder to watch; None if the lake is in an object store.

    It is the lake, or the nearest folder above a file or a pattern.
    """
    if is_url(lake):
        return None
    folder = os.path.abspath(lake)
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return folder
