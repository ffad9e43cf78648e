"""Where the files of an Iceberg table lie, and how its small files of metadata are read.

A table names its files by URIs that other tools wrote: ``file:///...``, ``s3a://...``,
``abfss://CONTAINER@ACCOUNT...``. A table that was copied as a folder still names them where it was.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass

from onepass.cloud.bucket import Bucket, TooLarge
from onepass.cloud.url import SCHEMES, is_url, object_url
from onepass.errors import DataError, JobError, StoreError

MOST_METADATA_BYTES = 512 << 20
"""Largest file of metadata that is read."""

Read = Callable[[str], bytes]
"""Reads a whole file of metadata by the name that the table gives it."""

_STORES = {"s3": "s3", "s3a": "s3", "s3n": "s3", "gs": "gs", "gcs": "gs", "az": "az"}
_AZURE = re.compile(r"(?:abfss?|wasbs?)://([^@/]+)@[^/]+(/.*)")


def opened(uri: str) -> str:
    """Return the local path or the URL by which onepass opens what a table names.

    Raises
    ------
    JobError
        If it lies where onepass cannot read.
    """
    scheme, has_scheme, rest = uri.partition(":/")
    if not has_scheme or "/" in scheme:
        return uri
    if scheme == "file":
        return "/" + rest.lstrip("/")
    if found := _AZURE.fullmatch(uri):
        return f"az://{found.group(1)}{found.group(2)}"
    if scheme not in _STORES:
        raise JobError(
            f"the table has files in {scheme}://, which onepass cannot read; expected local files "
            f"or {', '.join(SCHEMES)}"
        )
    return f"{_STORES[scheme]}:/{rest}"


@dataclass(frozen=True, slots=True)
class Places:
    """Names of a table's files, as the table and as onepass have them.

    Parameters
    ----------
    declared
        Location of the table by its metadata, opened.
    actual
        Where it lies; another place if it has been copied.
    """

    declared: str
    actual: str

    def of(self, uri: str) -> tuple[str, str]:
        """Return key and location of a data file.

        Returns
        -------
        key
            Path below the table, or else the whole place.
        location
            Path or URL to open.
        """
        place = opened(uri)
        if not place.startswith(f"{self.declared}/"):
            return place, place
        below = place[len(self.declared) :]
        return below[1:], self.actual + below

    def key(self, uri: str) -> str:
        """Return the key of a data file."""
        return self.of(uri)[0]

    def location(self, uri: str) -> str:
        """Return the path or URL to open."""
        return self.of(uri)[1]


def read_small(location: str) -> bytes:
    """Read a whole file of metadata from a local path or a URL.

    Raises
    ------
    DataError
        If it is missing, unreadable or too large.
    StoreRefused, StoreUnavailable
        If an object store does not give it.
    """
    try:
        if is_url(location):
            url = object_url(location)
            return Bucket(url).get(url.path, most_bytes=MOST_METADATA_BYTES)
        if os.path.getsize(location) > MOST_METADATA_BYTES:
            raise TooLarge(f"more than {MOST_METADATA_BYTES:,} bytes")
        with open(location, "rb") as file:
            return file.read()
    except StoreError:
        raise
    # A damaged name may hold a null byte, which is a ValueError.
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise DataError(
            f"the table's file of metadata {location!r} cannot be read: {reason}"
        ) from None


def exists(location: str) -> bool:
    """Return whether there is a file at a local path or a URL."""
    if not is_url(location):
        return os.path.isfile(location)
    url = object_url(location)
    try:
        Bucket(url).head(url.path)
    except FileNotFoundError:
        return False
    return True
