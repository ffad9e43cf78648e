"""Compare the columns of a file with those that a model reads, from its footer alone.

A lake is written over months by programs that change. What a frozen column reads without changing
its meaning is listed in `onepass.encode.schema.READS`; all else is refused here, before a row of
the file is decoded.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from difflib import get_close_matches

import pyarrow as pa
import pyarrow.parquet as pq

from onepass.encode.schema import READS, Schema, family, is_readable, uses
from onepass.errors import BadPartition
from onepass.lake.discover import LakeFile
from onepass.lake.footer import Footer
from onepass.lake.footer_checks import check_claims, null_count

_ALIKE = 0.8
"""Likeness of names above which one may be the other, renamed."""


def check_columns(
    file: LakeFile,
    footer: Footer,
    schema: Schema,
    *,
    label: bool,
    keep: Iterable[str] = (),
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
        If a column is missing, there twice, or of a type that its use does not read, or the footer
        contradicts itself about one.
    """
    if not footer.fingerprint.rows:
        return
    names = list(dict.fromkeys([*schema.names(label=label), *keep]))
    check_names(file, footer.schema, names)
    check_claims(footer.contradictions, names, file.key)
    check_types(
        file,
        footer.schema,
        uses(schema, label=label),
        is_empty=lambda name: bool(empty_columns(footer, [name])),
    )


def check_types(
    file: LakeFile,
    found: pa.Schema,
    uses: Iterable[tuple[str, str]],
    *,
    is_empty: Callable[[str], bool],
) -> None:
    """Compare the types of columns with what each is used as, a key of `READS`.

    Parameters
    ----------
    found
        Schema of the file.
    is_empty
        Tells of a column whether it has no value, so that its type means nothing.

    Raises
    ------
    BadPartition
        If a type is none of those that the use reads, and there are values of it.
    """
    for name, use in uses:
        dtype = found.field(name).type
        if not is_readable(use, dtype) and not is_empty(name):
            raise BadPartition(
                f"expected {READS[use].text}, found type {dtype}", path=file.key, column=name
            )


def check_names(file: LakeFile, found: pa.Schema, names: list[str]) -> None:
    """As `check_columns`, but for the types.

    Raises
    ------
    BadPartition
        If a column is missing or there twice.
    """
    present = found.names
    for name in names:
        if present.count(name) != 1:
            missing = f"is missing{hint(name, present, names)}"
            fault = "is there more than once" if name in present else missing
            raise BadPartition(f"the column {fault}", path=file.key, column=name)


def hint(name: str, present: Iterable[str], names: Iterable[str]) -> str:
    """What may have become of a missing column: a name like it, of a column that is not read."""
    known = set(names)
    like = {_bare(other): other for other in present if other not in known}
    close = get_close_matches(_bare(name), like, n=1, cutoff=_ALIKE)
    return f"; the file has {like[close[0]]!r}" if close else ""


def _bare(name: str) -> str:
    return name.strip().casefold()


def empty_columns(footer: Footer, names: Iterable[str]) -> set[str]:
    """Those flat columns among `names` of which the statistics tell that they have no value.

    Writers choose a type at random for a column that they never saw a value of: pandas a number,
    Arrow null, Spark whatever the query said.
    """
    wanted, metadata = set(names), footer.metadata
    columns = ((i, metadata.schema.column(i)) for i in range(metadata.num_columns))
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    filled = [group for group in groups if group.num_rows]
    return {
        column.path
        for i, column in columns
        if column.path in wanted and not column.max_repetition_level and _is_empty(filled, i)
    }


def _is_empty(groups: list[pq.RowGroupMetaData], column: int) -> bool:
    # Most columns have a value in the first row group already.
    chunks = (group.column(column) for group in groups)
    return all(null_count(chunk) == chunk.num_values for chunk in chunks)


def kinds(schema: pa.Schema, empty: Collection[str]) -> dict[str, str]:
    """What each column of a file is: files that agree in it can be read alike.

    Parameters
    ----------
    empty
        Columns without a value.
    """
    same = {"integer": "number", "real": "number"}
    found = {field.name: family(field.type) for field in schema}
    return {
        name: "null" if name in empty else same.get(found[name], found[name])
        for name in schema.names
    }
