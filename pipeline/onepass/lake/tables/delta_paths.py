"""Find the files that the log of a Delta table names: below the table, or anywhere by a whole path.

The log is data that others wrote. A relative path must stay below the table, and a whole path or
URL must be one that a lake could have as well; a URL with a secret is refused without being shown.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from urllib.parse import unquote

from onepass.cloud.url import is_url, parse_url

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):/")

_SAME_STORE = {"s3a": "s3", "s3n": "s3", "gcs": "gs", "azure": "az"}
"""Schemes of Hadoop and others for stores that have one scheme here."""

_AZURE = re.compile(r"abfss?://([^@/]+)@([^./]+)\.[^/]*/(.*)", re.DOTALL)
"""URL by which Spark names a container, an account and a path on Azure."""


@dataclass(frozen=True, slots=True)
class TableRoot:
    """Folder of a table."""

    location: str
    """Absolute path, or URL in the form of `onepass.cloud.url`, without a slash at its end."""

    @property
    def is_remote(self) -> bool:
        """Whether it is in an object store."""
        return is_url(self.location)

    def below(self, *names: str) -> str:
        """Return the path or URL of something below the table."""
        return "/".join([self.location, *names])

    def find(self, encoded: str) -> tuple[str, str]:
        """Return key and location of a file by its path in the log.

        Parameters
        ----------
        encoded
            Path relative to the table, absolute path, or URL, each percent-encoded.

        Returns
        -------
        key
            Decoded path; relative to the table if the file lies below it.
        location
            Absolute path or URL.

        Raises
        ------
        ValueError
            If it is none of these, or leaves its folder. The message does not show URLs.
        """
        try:
            path = unquote(encoded, errors="strict")
            path.encode()
        except UnicodeError:
            raise ValueError("a path that is not UTF-8") from None
        if "\0" in path:
            raise ValueError("a path with a zero byte")
        scheme = _SCHEME.match(path)
        whole = self._url(scheme[1].lower(), path) if scheme else self._absolute(path)
        if whole is None:
            _check_parts(path)
            return path, self.below(path)
        inside = whole.removeprefix(f"{self.location}/")
        return inside, whole

    def _absolute(self, path: str) -> str | None:
        if not path.startswith("/"):
            return None
        _check_parts(path[1:])
        # Hadoop reads a path without a scheme in the file system of the table.
        return f"{parse_url(self.location).root}{path}" if self.is_remote else path

    def _url(self, scheme: str, path: str) -> str:
        if scheme == "file":
            if self.is_remote:
                raise ValueError("a local path in the log of a table in an object store")
            local = "/" + path.partition(":")[2].lstrip("/")
            _check_parts(local[1:])
            return local
        azure = _AZURE.fullmatch(path)
        if azure:
            container, account, below = azure.groups()
            if account != os.environ.get("AZURE_STORAGE_ACCOUNT_NAME"):
                raise ValueError("a file of another Azure account than AZURE_STORAGE_ACCOUNT_NAME")
            return str(parse_url(f"az://{container}/{below}"))
        return str(parse_url(f"{_SAME_STORE.get(scheme, scheme)}{path[len(scheme) :]}"))


def table_root(lake: str) -> TableRoot:
    """Return the folder of a table by the path or URL that a user has written.

    Raises
    ------
    JobError
        If it is a URL that cannot be used.
    """
    scheme = _SCHEME.match(lake)
    if scheme and scheme[1].lower() == "file":
        lake = "/" + unquote(lake.partition(":")[2]).lstrip("/")
    elif scheme:
        known = _SAME_STORE.get(scheme[1].lower(), scheme[1])
        return TableRoot(str(parse_url(f"{known}{lake[len(scheme[1]) :]}")))
    return TableRoot(os.path.abspath(lake))


def _check_parts(path: str) -> None:
    if any(part in {"", ".", ".."} for part in path.split("/")):
        raise ValueError("a path with an empty, '.' or '..' part")
