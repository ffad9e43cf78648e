"""Find the metadata of an Iceberg table by its catalogue, its metadata file or its folder."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from pyiceberg.catalog import load_catalog
from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError
from pyiceberg.table.metadata import TableMetadata, TableMetadataUtil
from pyiceberg.utils.config import Config

from onepass.cloud.url import CatalogueTable, is_catalogue_table, is_url, parse_catalogue_table
from onepass.errors import DataError, JobError
from onepass.lake.tables.iceberg_folder import is_metadata, newest_metadata, unpacked
from onepass.lake.tables.iceberg_places import Places, Read, exists, opened, read_small


@dataclass(frozen=True, slots=True)
class Source:
    """A table that has been found."""

    name: str
    """As the user named it."""
    metadata: TableMetadata
    places: Places
    read: Read
    """Reads a file of metadata by the URI that the table gives it."""


def find_table(lake: str) -> Source:
    """Find the metadata of a table.

    Parameters
    ----------
    lake
        ``iceberg://CATALOG/DATABASE.TABLE``, the path or URL of a metadata file, or of the
        folder of a table.

    Raises
    ------
    JobError
        If the catalogue is not configured or has no such table, or if it is not clear which
        metadata file of a folder has been committed.
    DataError
        If the metadata is missing or damaged.
    StoreRefused, StoreUnavailable
        If an object store does not give it.
    """
    if is_catalogue_table(lake):
        return _in_catalogue(parse_catalogue_table(lake))
    location = lake if is_metadata(lake) else newest_metadata(lake)
    metadata = _parsed(location)
    places = _places(location, metadata)
    return Source(lake, metadata, places, lambda uri: read_small(places.location(uri)))


def _in_catalogue(named: CatalogueTable) -> Source:
    # pyiceberg looks at the environment only when it is imported.
    configured = Config().get_catalog_config(named.catalogue)
    if configured is None:
        raise JobError(
            f"the catalogue {named.catalogue!r} is not configured: give its type and URI in "
            f".pyiceberg.yaml or by PYICEBERG_CATALOG__{named.catalogue.upper()}__URI"
        )
    try:
        with load_catalog(named.catalogue, **configured) as catalogue:  # type: ignore[arg-type]
            table = catalogue.load_table(named.table)
    except (NoSuchTableError, NoSuchNamespaceError):
        raise JobError(f"the catalogue {named.catalogue!r} has no table {named.table!r}") from None
    # Each kind of catalogue raises errors of its own, whose text may hold a URI with a password.
    except Exception as error:
        raise JobError(
            f"the catalogue {named.catalogue!r} cannot be read ({type(error).__name__}); check its "
            "type, URI and credentials; 'pyiceberg list' shows whether pyiceberg itself can"
        ) from None
    declared = opened(table.metadata.location).rstrip("/")
    return Source(
        str(named), table.metadata, Places(declared, declared), partial(_read_by, table.io)
    )


def _read_by(io: Any, uri: str) -> bytes:
    try:
        with io.new_input(uri).open() as stream:
            data: bytes = stream.read()
            return data
    except Exception as error:  # Each implementation of FileIO raises errors of its own.
        raise DataError(
            f"the table's file of metadata {uri!r} cannot be read ({type(error).__name__})"
        ) from None


def _parsed(location: str) -> TableMetadata:
    data = read_small(location)
    try:
        return TableMetadataUtil.parse_raw(unpacked(data).decode())
    # pyiceberg's checks raise more than its own ValidationError.
    except Exception as error:
        raise DataError(
            f"the metadata file {location!r} is damaged, or of a kind that pyiceberg cannot read "
            f"({type(error).__name__})"
        ) from None


def _places(location: str, metadata: TableMetadata) -> Places:
    """Return where the files lie; a table that was copied names them where it was."""
    declared = opened(metadata.location).rstrip("/")
    folder = location.rpartition("/")[0]
    actual = folder.removesuffix("/metadata")
    places = Places(declared, actual)
    snapshot = metadata.current_snapshot()
    if folder == actual or actual == declared or snapshot is None:
        return Places(declared, declared)
    moved = places.location(snapshot.manifest_list)
    is_elsewhere = is_url(declared) != is_url(actual) or not exists(opened(snapshot.manifest_list))
    return places if is_elsewhere and exists(moved) else Places(declared, declared)
