"""Models and lakes as Prefect assets: a model is made from its lakes.

Prefect names assets by URIs with few characters. `asset_key` makes such a URI of any path.
"""

from __future__ import annotations

import hashlib
import logging
import os
import posixpath
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from prefect.assets import Asset, AssetProperties, add_asset_metadata
from prefect.tasks import MaterializingTask
from prefect.types.names import MAX_ASSET_KEY_LENGTH, RESTRICTED_ASSET_CHARACTERS

from onepass.cloud.url import is_url

P = ParamSpec("P")
T = TypeVar("T")

logger = logging.getLogger(__name__)

MOST_LAKES = 32
"""Most lakes of a model that an asset or event names; Prefect takes at most 100 related things."""

_ESCAPED = {*RESTRICTED_ASSET_CHARACTERS, "~"}


def asset_key(path: str) -> str:
    """Return the URI by which Prefect names a path: ``file:///srv/lake``, ``s3://bucket/lake``.

    Characters that Prefect does not allow are written as ``~`` and their code (a space is ``~20``),
    as is ``~`` itself. A URI that would be too long is cut and ends in ``~~`` and a digest. So
    different paths have different keys.
    """
    if is_url(path):
        scheme, _, rest = path.partition("://")
        uri = f"{scheme.lower()}://{rest.rstrip('/')}"
    else:
        uri = f"file://{os.path.abspath(path)}"
    key = "".join(_escaped(letter) for letter in uri)
    if len(key) <= MAX_ASSET_KEY_LENGTH:
        return key
    ending = f"~~{hashlib.sha256(key.encode()).hexdigest()[:32]}"
    return key[: MAX_ASSET_KEY_LENGTH - len(ending)] + ending


def lake_keys(lake: str | list[str]) -> list[str]:
    """Return the keys of the lakes of a job, at most `MOST_LAKES`.

    A list of files stands for the folders that hold them.
    """
    if isinstance(lake, str):
        return [asset_key(lake)]
    folders = {posixpath.dirname(path if is_url(path) else os.path.abspath(path)) for path in lake}
    return [asset_key(folder) for folder in sorted(folders)[:MOST_LAKES]]


def materializing(
    make: Callable[P, T],
    *,
    model: str,
    lake: str | list[str],
    describe: Callable[[T], Mapping[str, Any]],
    description: str | None = None,
    **task_options: Any,
) -> Callable[P, T]:
    """Return a task that runs a function, and reports the model as an asset made from its lakes.

    If the task succeeds, Prefect records ``prefect.asset.materialization.succeeded``; if it fails,
    ``prefect.asset.materialization.failed``. Prefect puts both into a queue of its own and sends
    them from another thread, so a server that is away neither fails nor delays the task.

    Parameters
    ----------
    model
        Directory or URL of the model.
    lake
        The lakes of its job.
    describe
        Returns the metadata of the materialization for what `make` has returned: rows, loss,
        version, digests, as JSON.
    description
        Text that Prefect shows for the asset.
    task_options
        Options of `prefect.task`, such as ``name`` and ``cache_policy``.
    """
    key = asset_key(model)

    @wraps(make)
    def made(*args: P.args, **kwargs: P.kwargs) -> T:
        outcome = make(*args, **kwargs)
        try:
            add_asset_metadata(key, dict(describe(outcome)))
        except Exception as error:  # Metadata is only shown, so it must not fail a run.
            logger.warning("the asset %s has no metadata: %s", key, error)
        return outcome

    asset = Asset(
        key=key,
        properties=AssetProperties(
            name=posixpath.basename(model.rstrip("/")) or model, description=description
        ),
    )
    return MaterializingTask(
        made,
        assets=[asset],
        materialized_by="onepass",
        asset_deps=[one for one in lake_keys(lake) if one != key],
        **task_options,
    )


def _escaped(letter: str) -> str:
    is_plain = letter.isprintable() and letter not in _ESCAPED
    return letter if is_plain else f"~{ord(letter):02x}"
