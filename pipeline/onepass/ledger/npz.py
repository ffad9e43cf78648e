"""Encode the arrays of a learner's state; equal arrays give equal bytes.

The format is numpy's npz, uncompressed, names sorted, little-endian, with a fixed time stamp. The
CRC-32 of the zip finds flipped bits, and the ledger keeps a sha256. Pickled arrays are neither
written nor read.
"""

from __future__ import annotations

import io
import math
import re
import zipfile
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from onepass.errors import ForeignModel

Arrays = dict[str, NDArray[np.generic]]

_MEMBER = re.compile(r"\w+(\.\w+)*\.npy")

_PIECE = 256 << 10
"""Bytes per write: small enough to stay in the cache for checksum, digest and file in turn."""


class Writable(Protocol):
    """A stream to write bytes to."""

    def write(self, data: bytes | memoryview, /) -> object:
        """Append bytes."""
        ...


class _Forward(io.RawIOBase):
    """A stream that forwards writes, and cannot seek."""

    def __init__(self, sink: Writable) -> None:
        self._sink = sink

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self._sink.write(data)
        return len(data)


def write_state(arrays: Mapping[str, NDArray[np.generic]], stream: Writable) -> None:
    """Write a state in small pieces, so that memory never holds a second copy of a large one."""
    # zipfile writes other bytes to a stream that can seek; a file and a digest must get the same.
    with zipfile.ZipFile(_Forward(stream), "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(arrays):
            array = np.asarray(arrays[name])
            little = array.astype(array.dtype.newbyteorder("<"), copy=False)
            little = np.require(little, requirements="C")
            header = io.BytesIO()
            np.lib.format.write_array_header_1_0(
                header, np.lib.format.header_data_from_array_1_0(little)
            )
            # ZipInfo's own default date is fixed: 1980-01-01.
            member = zipfile.ZipInfo(f"{name}.npy")
            member.file_size = len(header.getvalue()) + little.nbytes
            with archive.open(member, "w") as sink:
                sink.write(header.getvalue())
                content = little.reshape(-1).view(np.uint8).data
                for start in range(0, len(content), _PIECE):
                    sink.write(content[start : start + _PIECE])


def dump_state(arrays: Mapping[str, NDArray[np.generic]]) -> bytes:
    """Return the bytes of a state."""
    buffer = io.BytesIO()
    write_state(arrays, buffer)
    return buffer.getvalue()


def load_state(data: bytes) -> Arrays:
    """Return the arrays of a state, in no more memory than its bytes take.

    Raises
    ------
    ForeignModel
        If `write_state` does not write such bytes, they are damaged, or they contain a pickle.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            _check_members(members, len(data))
            return {one.filename.removesuffix(".npy"): _array(archive.read(one)) for one in members}
    except MemoryError:
        # The machine is at fault, not the file: the caller would retrain a damaged state.
        raise
    except Exception as error:
        # The parsers of zip and npy raise a dozen kinds of errors on damaged bytes.
        reason = str(error)[:200] or type(error).__name__
        raise ForeignModel(f"not a sound state file: {ascii(reason)[1:-1]}") from None


def _check_members(members: list[zipfile.ZipInfo], nbytes: int) -> None:
    names = [one.filename for one in members]
    if len(set(names)) < len(names) or not all(map(_MEMBER.fullmatch, names)):
        raise ValueError("expected arrays of different and plain names")
    if any(one.compress_type != zipfile.ZIP_STORED for one in members):
        raise ValueError("expected arrays as they are, found compressed ones")
    # Members can overlap in the file, and then expand to more than its size.
    if sum(one.file_size for one in members) > nbytes:
        raise ValueError("arrays claim more bytes than the file has")


def _array(content: bytes) -> NDArray[np.generic]:
    stream = io.BytesIO(content)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("expected an array of npy version 1.0")
    shape, by_column, dtype = np.lib.format.read_array_header_1_0(stream)
    start, n_items = stream.tell(), math.prod(shape)
    # Checked before memory of the claimed size is allocated.
    if dtype.hasobject or by_column or n_items * dtype.itemsize != len(content) - start:
        raise ValueError(f"{len(content) - start} bytes are no {dtype} of shape {shape}")
    return np.frombuffer(content, dtype, n_items, start).reshape(shape)
