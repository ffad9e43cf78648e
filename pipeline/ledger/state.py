"""The state of a learner as bytes: the same arrays always give the same bytes, and no code.

The format is numpy's npz, uncompressed, names sorted, little-endian, with a fixed time stamp; the
zip's CRC-32 finds flipped bits, and the ledger keeps a sha256. Pickled arrays are neither written
nor read.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ForeignModel

Arrays = dict[str, NDArray[np.generic]]


def dump_state(arrays: Mapping[str, NDArray[np.generic]]) -> bytes:
    """Bytes of a state."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(arrays):
            array = np.asarray(arrays[name])
            little = array.astype(array.dtype.newbyteorder("<"), copy=False)
            member = io.BytesIO()
            np.lib.format.write_array(
                member, np.require(little, requirements="C"), (1, 0), allow_pickle=False
            )
            # ZipInfo's own default date is fixed: 1980-01-01.
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), member.getvalue())
    return buffer.getvalue()


def load_state(data: bytes) -> Arrays:
    """Arrays of a state.

    Raises
    ------
    ForeignModel
        If the bytes are not a state, are damaged, or ask for a pickle.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except Exception as error:
        # The parsers of zip and npy raise a dozen kinds of errors at damaged bytes.
        raise ForeignModel(f"not a sound state file: {error}") from None
