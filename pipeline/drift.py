"""Compare the columns of a file with those that a model reads, from its footer alone.

A lake is written over months by programs that change. What a frozen column reads without changing
its meaning is listed in `pipeline.encode.schema.READS`; all else is refused here, before a row of
the file is decoded.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

import pyarrow as pa

from pipeline.encode.schema import READS, Schema, family, is_readable, uses
from pipeline.errors import BadPartition
from pipeline.lake.discover import LakeFile
from pipeline.lake.partition import Footer
from pipeline.lake.sound import check_claims, null_count

_ALIKE = 0.8
"""Likeness of names above which one may be the other, renamed."""


def check_columns(
    file: LakeFile, footer: Footer, schema: Schema, *, label: bool, keep: Iterable[str] = ()
) -> None:
    """Compare a file with what is read of it.

    A file without rows fits: there is nothing in it to be read.

    Parameters
    ----------
    label
        Whether label and weight are read as well.
    keep
        Further columns that are read, of any type.

    Raises
    ------
    BadPartition
        If a column is missing, there twice, or of a type that its use does not read.
    """
    if not footer.fingerprint.rows:
        return
    names = list(dict.fromkeys([*schema.names(label=label), *keep]))
    check_names(file, footer, names)
    check_types(file, footer, uses(schema, label=label))


def check_types(file: LakeFile, footer: Footer, uses: Iterable[tuple[str, str]]) -> None:
    """Compare the types of columns with what each is used as, a key of `READS`.

    Raises
    ------
    BadPartition
        If a type is none of those that the use reads, and there are values of it.
    """
    for name, use in uses:
        dtype = footer.schema.field(name).type
        if not is_readable(use, dtype) and not is_all_null(footer, name):
            raise BadPartition(
                f"expected {READS[use].text}, found type {dtype}", path=file.key, column=name
            )


def check_names(file: LakeFile, footer: Footer, names: list[str]) -> None:
    """As `check_columns`, but for the types.

    Raises
    ------
    BadPartition
        If a column is missing or there twice, or the footer contradicts itself about one.
    """
    present = footer.schema.names
    for name in names:
        if present.count(name) != 1:
            missing = f"is missing{hint(name, footer, names)}"
            found = "is there more than once" if name in present else missing
            raise BadPartition(f"the column {found}", path=file.key, column=name)
    check_claims(footer.metadata, names, footer.fingerprint.size, file.key)


def hint(name: str, footer: Footer, names: Iterable[str]) -> str:
    """What may have become of a missing column: a name like it, of a column that is not read."""
    known = set(names)
    like = {other.casefold(): other for other in footer.schema.names if other not in known}
    close = get_close_matches(name.casefold(), like, n=1, cutoff=_ALIKE)
    return f"; the file has {like[close[0]]!r}" if close else ""


def is_all_null(footer: Footer, name: str) -> bool:
    """Whether the statistics tell that a flat column has no value.

    Writers choose a type at random for a column that they never saw a value of: pandas a number,
    Arrow null, Spark whatever the query said.
    """
    metadata = footer.metadata
    places = [i for i, path in enumerate(_paths(footer)) if path == name]
    if len(places) != 1 or metadata.schema.column(places[0]).max_repetition_level:
        return False
    groups = (metadata.row_group(i) for i in range(metadata.num_row_groups))
    chunks = (group.column(places[0]) for group in groups if group.num_rows)
    return all(null_count(chunk) == chunk.num_values for chunk in chunks)


def _paths(footer: Footer) -> list[str]:
    schema = footer.metadata.schema
    return [schema.column(i).path for i in range(footer.metadata.num_columns)]


def kind_of(footer: Footer, field: pa.Field) -> str:
    """What a column of a file is in the survey: files that agree in it can be read alike."""
    found = family(field.type)
    if found == "null" or is_all_null(footer, field.name):
        return "null"
    return {"integer": "number", "real": "number"}.get(found, found)
