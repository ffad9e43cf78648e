"""Compare the columns of a file with those that a model reads, from the footer alone.

Programs that write a lake change over the months. `onepass.encode.reads.READS` lists the Arrow
types that each use of a column reads without changing its meaning. A file with another type is
refused before a row of it is decoded.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from difflib import get_close_matches

import pyarrow as pa

from onepass.encode.reads import READS, is_readable, uses
from onepass.encode.schema import Schema, family
from onepass.errors import BadPartition
from onepass.lake.discover import LakeFile
from onepass.lake.footer import Footer
from onepass.lake.footer_checks import check_claims
from onepass.partition import Fingerprint
from onepass.selection.rows import Selection
from onepass.stream.check_where import WhereCheck
from onepass.text import printable

logger = logging.getLogger(__name__)

_ALIKE = 0.8
"""Least similarity, by difflib, of two names of which one may be the other, renamed."""


@dataclass(frozen=True, slots=True)
class Renamed:
    """An optional column that a file lacks, and perhaps has under another name."""

    name: str
    warning: str


class ColumnCheck:
    """Compares files with the columns that a model reads, each content once.

    Threads may share a check: at worst they compare the same file twice.

    Parameters
    ----------
    schema
        Columns that the model reads.
    label
        Whether label and weight are read as well.
    keep
        Further columns that are read, of any type.
    selection
        Rows that are read; None for all.
    """

    def __init__(
        self,
        schema: Schema,
        *,
        label: bool,
        keep: Iterable[str] = (),
        selection: Selection | None = None,
    ) -> None:
        keep = list(keep)
        self.selection = selection
        self._where = WhereCheck(selection)
        self._names = list(dict.fromkeys([*schema.names(label=label), *keep]))
        self._uses = uses(schema, label=label)
        self._optional = frozenset(schema.optional) - {*keep}
        self._folders = self._optional & set(schema.hive)
        self._passed: set[Fingerprint] = set()
        self._warned: set[str] = set()

    def __call__(self, file: LakeFile, footer: Footer) -> None:
        """Compare a file with the columns that are read, unless its content has passed before.

        A file without rows passes: there is nothing in it to read.

        Raises
        ------
        BadPartition
            If a column is missing that is not optional, occurs twice, or has a type that its use
            does not read, or if the footer contradicts itself about a column.
        """
        self.warn(self.compare(file, footer))

    def absent_from(self, present: Collection[str]) -> list[str]:
        """Return the columns that must be read and are not among those present."""
        return [name for name in self._names if name not in present and name not in self._optional]

    def compare(self, file: LakeFile, footer: Footer) -> list[Renamed]:
        """Compare a file as a call does, but return what there is to warn of."""
        if not footer.fingerprint.rows or footer.fingerprint in self._passed:
            return []
        lacking = self._lacking(file, footer.schema.names)
        names = [name for name in self._names if name not in lacking]
        present = set(footer.schema.names)
        structs = {name for name in names if name not in present and footer.is_struct(name)}
        _check_structs(file, footer, structs, self._uses)
        check_names(file, footer.schema, [name for name in names if name not in structs])
        check_claims(footer.contradictions, names, file.key)
        check_types(
            file,
            footer.schema,
            [(name, use) for name, use in self._uses if name not in lacking],
            is_empty=lambda name: bool(footer.empty([name])),
        )
        schema, claims = footer.schema, footer.contradictions
        self._where(file, schema, claims, is_empty=lambda name: bool(footer.empty([name])))
        self._passed.add(footer.fingerprint)
        return self._renamed(file, footer.schema.names, lacking)

    def warn(self, found: Iterable[Renamed]) -> None:
        """Warn of columns that may be renamed, of each column once."""
        for one in found:
            if one.name not in self._warned:
                self._warned.add(one.name)
                logger.warning("%s", one.warning)

    def __getstate__(self) -> dict[str, object]:
        # A worker checks the files that it reads by itself, and has nobody to warn.
        return {**vars(self), "_passed": set()}

    def _lacking(self, file: LakeFile, present: list[str]) -> Collection[str]:
        """Return the optional columns that a file lacks.

        Raises
        ------
        BadPartition
            If the path has the value of a column, or a column the value that belongs in the path.
        """
        if not self._optional:
            return set()
        in_path = dict(file.hive)
        lacking = self._optional - self._folders - set(present)
        for name in sorted(lacking & set(in_path)):
            raise BadPartition(
                "the column is missing; the path has it as a key=value folder",
                path=file.key,
                column=name,
            )
        for name in sorted((self._folders - set(in_path)) & set(present)):
            raise BadPartition(
                "expected in the path as a key=value folder, found as a column of the file",
                path=file.key,
                column=name,
            )
        return lacking

    def _renamed(
        self, file: LakeFile, present: list[str], lacking: Collection[str]
    ) -> list[Renamed]:
        return [
            Renamed(
                name,
                f"{printable(file.key)}: {printable(name)} is missing and read as null"
                f"{printable(like)}: renamed?",
            )
            for name in sorted(set(lacking) - self._warned)
            if (like := hint(name, present, self._names))
        ]


def _check_structs(
    file: LakeFile, footer: Footer, structs: Collection[str], uses: Iterable[tuple[str, str]]
) -> None:
    """Refuse whole structs in place of columns that the model reads; they may be kept."""
    for name, use in uses:
        found = footer.field(name) if name in structs else None
        if found is not None:
            raise BadPartition(
                f"expected {READS[use].text}, found type {found.type}", path=file.key, column=name
            )


def check_types(
    file: LakeFile,
    found: pa.Schema,
    uses: Iterable[tuple[str, str]],
    *,
    is_empty: Callable[[str], bool],
) -> None:
    """Compare the types of a file's columns with the types that their uses read.

    Parameters
    ----------
    found
        Schema of the file.
    uses
        Names of columns, each with its use, a key of `READS`.
    is_empty
        Returns whether a column has no value, so that its type means nothing.

    Raises
    ------
    BadPartition
        If a column has values of a type that its use does not read.
    """
    for name, use in uses:
        dtype = found.field(name).type
        if not is_readable(use, dtype) and not is_empty(name):
            raise BadPartition(
                f"expected {READS[use].text}, found type {dtype}", path=file.key, column=name
            )


def check_names(file: LakeFile, found: pa.Schema, names: list[str]) -> None:
    """Check that a file has each column exactly once.

    Parameters
    ----------
    found
        Schema of the file.
    names
        Columns to read.

    Raises
    ------
    BadPartition
        If a column is missing or occurs twice.
    """
    present = found.names
    for name in names:
        if present.count(name) != 1:
            missing = f"is missing{hint(name, present, names)}"
            fault = "is there more than once" if name in present else missing
            raise BadPartition(f"the column {fault}", path=file.key, column=name)


def hint(name: str, present: Iterable[str], names: Iterable[str]) -> str:
    """Return a hint at the new name of a missing column; empty if no name is similar.

    Parameters
    ----------
    name
        The missing column.
    present
        Columns of the file.
    names
        Columns that cannot be the renamed one, because they are read under their own names.
    """
    known = set(names)
    like = {_bare(other): other for other in present if other not in known}
    close = get_close_matches(_bare(name), like, n=1, cutoff=_ALIKE)
    return f"; the file has {like[close[0]]!r}" if close else ""


def _bare(name: str) -> str:
    return name.strip().casefold()


_KINDS = {
    **{"integer": "number", "real": "number", "nulls": "null"},
    **{"integers": "list of numbers", "reals": "list of numbers", "texts": "list of texts"},
    **{"weights": "map to numbers", "entries": "map to texts"},
}
"""Kinds of the families that have another name, or that are read alike."""


def kinds(schema: pa.Schema, empty: Collection[str]) -> dict[str, str]:
    """Return the kind of each column. Files with equal kinds can be read in the same way.

    Parameters
    ----------
    schema
        Schema of a file.
    empty
        Columns without a value.
    """
    found = {field.name: family(field.type) for field in schema}
    return {
        name: "null" if name in empty else _KINDS.get(found[name], found[name])
        for name in schema.names
    }
