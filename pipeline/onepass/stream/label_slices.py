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
from onepass.lake.read import PartitionReader
from onepass.lake.units import units

MOST_ROWS = 1 << 30
"""Maximum number of labels that are looked at, which takes some ten seconds to a minute."""

_SLICE_ROWS = 16_384


def label_slices(
    file: LakeFile, footer: Footer, name: str, kind: Kind, most_rows: int = MOST_ROWS
) -> Iterator[pa.Array]:
    """Yield the labels of a file in stored order, at most about `most_rows`.

    Parameters
    ----------
    name, kind
        Column of the label, and the family of its values.

    Raises
    ------
    BadPartition
        If they cannot be decoded.
    """
    n_rows = 0
    texts = [name] if kind == "text" else []
    reader = PartitionReader(file, footer, [name], texts, _SLICE_ROWS)
    for partition in partitions(file, footer):
        for unit in units(partition, footer, _SLICE_ROWS):
            yield reader.read(unit).column(name)
            n_rows += unit.rows
            if n_rows >= most_rows:
                return


def unknown_classes(file: LakeFile, footer: Footer, label: Label) -> dict[str, int]:
    """Count the rows of each class of a file that a model does not know, for an error message.

    Labels that cannot be decoded end the count.
    """
    known, counts = set(label.classes or ()), Counter[str]()
    try:
        for labels in label_slices(file, footer, label.name, label.family):
            counts.update(
                class_counts(
                    labels,
                    label.family,
                    blank_is_null=label.blank_is_null,
                    missing=label.missing_texts,
                )
            )
            if len(counts) > MAX_CLASSES + len(known):
                break
    except DataError:
        pass
    return {text: n for text, n in counts.items() if text not in known}
