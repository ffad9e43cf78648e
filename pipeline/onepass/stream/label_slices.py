"""Read the label alone, slice by slice: all classes of a file in bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pyarrow as pa

from onepass.encode.classes import MAX_CLASSES, Kind, class_counts
from onepass.encode.schema import Label
from onepass.errors import DataError
from onepass.lake.discover import LakeFile
from onepass.lake.footer import Footer, partitions
from onepass.lake.pruning import row_groups
from onepass.lake.read import PartitionReader
from onepass.lake.units import units
from onepass.selection.rows import Selection
from onepass.stream.selected import select

MOST_ROWS = 1 << 30
"""Maximum number of labels that are looked at, which takes some ten seconds to a minute."""

_SLICE_ROWS = 16_384


def label_slices(
    file: LakeFile,
    footer: Footer,
    name: str,
    kind: Kind,
    most_rows: int = MOST_ROWS,
    selection: Selection | None = None,
) -> Iterator[pa.Array]:
    """Yield the labels of a file in stored order, of the first `most_rows` rows or some more.

    Parameters
    ----------
    name, kind
        Column of the label, and the family of its values.
    selection
        Rows to take.

    Raises
    ------
    BadPartition
        If they cannot be decoded.
    """
    n_rows = 0
    texts = [name] if kind == "text" else []
    compared = [] if selection is None else selection.columns
    node = None if selection is None else selection.node
    names = [one for one in dict.fromkeys([name, *compared]) if one in footer.schema.names]
    reader = PartitionReader(file, footer, names, texts, _SLICE_ROWS)
    for partition in partitions(file, footer):
        groups = row_groups(node, file, footer, partition)
        if not groups:
            continue
        for unit in units(partition, footer, _SLICE_ROWS, groups):
            yield select(reader.read(unit), unit, file, footer, selection).rows.column(name)
            n_rows += unit.rows
            if n_rows >= most_rows:
                return


def unknown_classes(
    file: LakeFile, footer: Footer, label: Label, selection: Selection | None = None
) -> dict[str, int]:
    """Count the rows of each class of a file that a model does not know, for an error message.

    Labels that cannot be decoded end the count.
    """
    known, counts = set(label.classes or ()), Counter[str]()
    try:
        slices = label_slices(file, footer, label.name, label.family, selection=selection)
        for labels in slices:
            counts.update(class_counts(labels, label.family, blank_is_null=label.blank_is_null))
            if len(counts) > MAX_CLASSES + len(known):
                break
    except DataError:
        pass
    return {text: n for text, n in counts.items() if text not in known}
