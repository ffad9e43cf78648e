"""The bytes of the texts of an Arrow column."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from onepass.encode.schema import family


def is_text(values: pa.Array) -> bool:
    """Whether a column is text, or a dictionary of texts."""
    return family(values.type) == "text"


def characters(texts: pa.Array) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    """Return where each text begins, followed by the end of the last one, and all bytes."""
    if not len(texts):
        return np.zeros(1, np.int32), np.zeros(1, np.uint8)
    large = pa.types.is_large_string(texts.type)
    _, offsets, data = texts.buffers()
    found = np.frombuffer(offsets, np.int64 if large else np.int32)
    # Without any characters Arrow has no buffer or an empty one, which numpy refuses.
    return found[texts.offset :][: len(texts) + 1], np.frombuffer(data or b"\0", np.uint8)
