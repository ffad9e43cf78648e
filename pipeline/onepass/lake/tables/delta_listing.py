"""Describe many objects by listing the folders that they are in, 1,000 objects a request."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from contextlib import suppress

from onepass.cloud.bucket import Bucket, RemoteObject
from onepass.cloud.url import Url, object_url

_MOST_HEADS = 8
"""Up to so many objects of a bucket are asked for one by one."""


def listed_objects(sizes: dict[str, int]) -> dict[str, RemoteObject]:
    """Return size and etag of objects, by their URLs.

    An object that is not there, or no longer, is described without an etag, so that whoever reads
    it says what is wrong with this file alone.

    Parameters
    ----------
    sizes
        Sizes in bytes that the objects should have, by their URLs.

    Raises
    ------
    StoreRefused, StoreUnavailable
        If a store does not answer.
    """
    buckets: dict[Url, dict[str, int]] = defaultdict(dict)
    for location, size in sizes.items():
        url = object_url(location)
        buckets[Url(url.scheme, url.bucket, "")][url.path] = size
    return {
        f"{url.root}/{key}": found
        for url, keys in buckets.items()
        for key, found in _described(Bucket(url), keys).items()
    }


def _described(bucket: Bucket, keys: dict[str, int]) -> dict[str, RemoteObject]:
    found = {key: RemoteObject(key, size, None) for key, size in keys.items()}
    if len(keys) <= _MOST_HEADS:
        for key in keys:
            with suppress(FileNotFoundError):
                found[key] = bucket.head(key)
        return found
    folder = posixpath.commonpath([posixpath.dirname(key) for key in keys])
    return found | {one.key: one for one in bucket.list(folder) if one.key in found}
