"""A state is the same bytes for the same arrays, and nothing but arrays."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from onepass.errors import ForeignModel
from onepass.ledger.entries import digest
from onepass.ledger.npz import dump_state, load_state


def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(7)
    return {
        "w": rng.normal(size=5),
        "h": rng.normal(size=(3, 3)),
        "n_rows": np.array(12),
        "seen": np.array([True, False]),
        "empty": np.zeros((0, 4), np.float32),
        "odd": np.array([np.nan, np.inf, -0.0]),
    }


def test_arrays_come_back_as_they_were():
    found = load_state(dump_state(arrays()))
    assert set(found) == set(arrays())
    for name, array in arrays().items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert found[name].tobytes() == array.tobytes()


def test_same_arrays_give_same_bytes_in_any_order_and_layout():
    expected = dump_state(arrays())
    shuffled = dict(reversed(arrays().items()))
    shuffled["h"] = np.asfortranarray(shuffled["h"])
    shuffled["w"] = shuffled["w"].astype(">f8")
    assert dump_state(shuffled) == expected


def test_same_arrays_give_same_bytes_in_another_process():
    code = (
        "from test_npz import arrays; from onepass.ledger.npz import dump_state; "
        "from onepass.ledger.entries import digest; print(digest(dump_state(arrays())))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parent,
        env={"PYTHONHASHSEED": "4711", "TZ": "Pacific/Auckland", "PYTHONPATH": "."},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == digest(dump_state(arrays()))


def test_flipped_bit_never_gives_other_arrays():
    data = dump_state(arrays())
    expected = {name: array.tobytes() for name, array in arrays().items()}.items()
    refused = 0
    for place in np.random.default_rng(3).choice(8 * len(data), 2000, replace=False):
        damaged = bytearray(data)
        damaged[place // 8] ^= 1 << (place % 8)
        try:
            found = load_state(bytes(damaged))
        except ForeignModel:
            refused += 1
        else:
            # A flip in the zip's directory may hide an array or change a date, but not a value;
            # beyond that the ledger compares the sha256.
            assert {name: array.tobytes() for name, array in found.items()}.items() <= expected
    assert refused > 1000


def test_truncated_state_is_refused():
    data = dump_state(arrays())
    for length in range(0, len(data), 7):
        with pytest.raises(ForeignModel):
            load_state(data[:length])


class Bomb:
    """Leaves a trace when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.trace,))


@pytest.mark.parametrize("form", ["npz", "npy", "pickle"])
def test_pickle_is_refused_and_its_code_not_run(tmp_path, form):
    trace, buffer = tmp_path / "trace", io.BytesIO()
    bomb = np.array([Bomb(trace)], dtype=object)
    match form:
        case "npz":
            np.savez(buffer, w=bomb)
        case "npy":
            np.save(buffer, bomb)
        case "pickle":
            pickle.dump(bomb, buffer)
    with pytest.raises(ForeignModel):
        load_state(buffer.getvalue())
    assert not trace.exists()


def test_single_array_file_is_refused():
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    with pytest.raises(ForeignModel):
        load_state(buffer.getvalue())
