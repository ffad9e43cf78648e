"""Parse URLs of object stores and of tables in catalogues, and refuse those that carry a secret.

The URLs of a job are written into the model, the log of runs and reports. So a URL with a password
or a signature is refused before it is used, and the error message does not repeat it. Keys that a
store lists are not checked: no user has typed them, and stores allow any form.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, TypeGuard

from onepass.errors import JobError

SCHEMES = ("s3", "gs", "az")

CATALOGUE = "iceberg"
"""Scheme of the name of a table in a catalogue: ``iceberg://CATALOG/DATABASE.TABLE``."""

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_CATALOGUE = re.compile(r"[\w-]+")
_TABLE = re.compile(r"[\w-]+(?:\.[\w-]+)+")
# Parameters of signed requests. A folder named signature=1 or a bucket named sharedaccess-logs
# must not match.
_SIGNED = re.compile(
    r"(?i)[/?&](?:x-(?:amz|goog)-[a-z-]+|sharedaccess[a-z]*|awsaccesskey[a-z]*)=|[?&]sig(?:nature)?="
)


@dataclass(frozen=True, slots=True)
class Url:
    """A bucket, or a key or prefix in it."""

    scheme: str
    bucket: str
    """Name of the bucket, or of the container on Azure."""
    path: str
    """Key or prefix, without slashes at its ends; empty for the whole bucket."""

    @property
    def root(self) -> str:
        """URL of the bucket."""
        return f"{self.scheme}://{self.bucket}"

    def __str__(self) -> str:
        return f"{self.root}/{self.path}" if self.path else self.root


@dataclass(frozen=True, slots=True)
class CatalogueTable:
    """A table as a catalogue has it."""

    catalogue: str
    """Name under which the catalogue is configured."""
    table: str
    """Namespaces and name, which dots join."""

    def __str__(self) -> str:
        return f"{CATALOGUE}://{self.catalogue}/{self.table}"


def is_url(path: Any) -> TypeGuard[str]:
    """Return whether a path is a URL rather than a path of the file system."""
    return isinstance(path, str) and _URL.fullmatch(path) is not None


def parse_url(text: str) -> Url:
    """Split a URL that a user has written into scheme, bucket and path.

    Raises
    ------
    JobError
        If the scheme is unknown, the bucket name is malformed, the path has an empty or relative
        part, or anything looks like a secret.
    """
    match = _URL.fullmatch(text)
    scheme = match.group(1).lower() if match else ""
    if match is None or scheme not in SCHEMES:
        raise JobError(f"expected a local path or an s3://, gs:// or az:// URL, found {scheme}://")
    bucket, _, path = match.group(2).partition("/")
    if "@" in bucket or ":" in bucket or "?" in path or _SIGNED.search(match.group(2)):
        raise JobError(
            f"found an {scheme}:// URL with a user, password, query or signature in it; give "
            "SCHEME://BUCKET/PATH alone, and credentials by the environment or a profile"
        )
    if not _BUCKET.fullmatch(bucket):
        raise JobError(f"expected {scheme}://BUCKET/PATH, found no sound bucket name")
    path = path.strip("/")
    if path and any(part in {"", ".", ".."} for part in path.split("/")):
        raise JobError(f"found an empty, '.' or '..' part in the URL of {scheme}://{bucket}")
    return Url(scheme, bucket, path)


def is_catalogue_table(path: Any) -> TypeGuard[str]:
    """Return whether a lake is named as a table of a catalogue."""
    return isinstance(path, str) and path.lower().startswith(f"{CATALOGUE}://")


def parse_catalogue_table(text: str) -> CatalogueTable:
    """Split ``iceberg://CATALOG/DATABASE.TABLE``.

    Raises
    ------
    JobError
        If it is malformed, or anything looks like a secret.
    """
    catalogue, _, table = text.partition("://")[2].partition("/")
    if not _CATALOGUE.fullmatch(catalogue) or not _TABLE.fullmatch(table):
        raise JobError(
            f"expected {CATALOGUE}://CATALOG/DATABASE.TABLE, found another form; credentials "
            "belong in .pyiceberg.yaml"
        )
    return CatalogueTable(catalogue, table)


def canonical(text: str) -> str:
    """Return a URL that a user has written in its one form.

    Raises
    ------
    JobError
        If it is malformed, or anything looks like a secret.
    """
    return str(parse_catalogue_table(text) if is_catalogue_table(text) else parse_url(text))


def object_url(location: str) -> Url:
    """Split the URL of an object, made of a parsed URL and a listed key, without checking it."""
    scheme, _, place = location.partition("://")
    bucket, _, key = place.partition("/")
    return Url(scheme, bucket, key)
