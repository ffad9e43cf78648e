"""Time the Gram matrix X' diag(c) X of float32 rows: the compiled kernel against BLAS.

    python benchmarks/gram.py
    python benchmarks/gram.py --widths 31 301 --rows 65536 --repeats 9

Newton adds such a matrix for every block of rows. `add_gram` sums products in single precision over
256 rows and adds these sums in double precision. BLAS offers the symmetric rank update: `ssyrk` in
single precision over pieces of rows, whose results are added in double precision, and `dsyrk`
wholly in double precision. Every contender scales the rows by c itself, and fills one triangle.

Everything runs on one thread, and its processor time counts. The contenders take turns, so that a
slow moment of the machine meets all of them. The table shows medians in milliseconds, and in
brackets the largest error relative to the largest entry of the matrix in double precision.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from scipy.linalg.blas import dsyrk, ssyrk
from threadpoolctl import threadpool_info, threadpool_limits

from onepass.block import Float32Array, FloatArray
from onepass.intrinsics import WIDE
from onepass.learn.kernels import add_gram, padded

WIDTHS = (31, 101, 301, 501)
Gram: TypeAlias = Callable[[Float32Array, FloatArray], FloatArray]


def by_kernel(x: Float32Array, c: FloatArray) -> FloatArray:
    """Return the lower triangle from the compiled kernel."""
    width = x.shape[1]
    total = np.zeros((padded(width, WIDE), padded(width, WIDE)))
    add_gram(x, c, total)
    return total[:width, :width]


def by_blas(
    rank_update: Any, kind: type, n_rows: int, x: Float32Array, c: FloatArray
) -> FloatArray:
    """Return the lower triangle from BLAS, over pieces of `n_rows` rows.

    Parameters
    ----------
    rank_update
        `ssyrk` or `dsyrk`.
    kind
        Precision that `rank_update` works in.
    """
    width = x.shape[1]
    total = np.zeros((width, width))
    root = np.sqrt(c).astype(kind)
    scaled, piece = np.empty((n_rows, width), kind), np.zeros((width, width), kind, order="F")
    for start in range(0, len(x), n_rows):
        rows = slice(start, min(start + n_rows, len(x)))
        half = np.multiply(x[rows], root[rows, None], out=scaled[: rows.stop - start])
        # The transpose of an array in C order is one in Fortran order, so that nothing is copied;
        # the upper triangle in Fortran order is the lower one in C order.
        piece = rank_update(1.0, half.T, beta=0.0, c=piece, lower=0, overwrite_c=1)
        total += piece.T
    return total


CONTENDERS: dict[str, Gram] = {
    "kernel": by_kernel,
    "ssyrk 256": partial(by_blas, ssyrk, np.float32, 256),
    "ssyrk 2048": partial(by_blas, ssyrk, np.float32, 2048),
    "ssyrk 16384": partial(by_blas, ssyrk, np.float32, 16_384),
    "dsyrk 256": partial(by_blas, dsyrk, np.float64, 256),
    "dsyrk 2048": partial(by_blas, dsyrk, np.float64, 2048),
}


def timed(x: Float32Array, c: FloatArray, repeats: int) -> dict[str, float]:
    """Return the median processor seconds of each contender over alternating runs."""
    seconds: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for contender in CONTENDERS.values():
        contender(x[:1024], c[:1024])
    for _ in range(repeats):
        for name, contender in CONTENDERS.items():
            began = time.thread_time()
            contender(x, c)
            seconds[name].append(time.thread_time() - began)
    return {name: float(np.median(runs)) for name, runs in seconds.items()}


def errors(x: Float32Array, c: FloatArray) -> dict[str, float]:
    """Return the largest relative error of each contender's lower triangle."""
    exact = np.tril((x.astype(np.float64) * c[:, None]).T @ x.astype(np.float64))
    size = np.abs(exact).max()
    return {
        name: float(np.abs(np.tril(contender(x, c)) - exact).max() / size)
        for name, contender in CONTENDERS.items()
    }


def main() -> None:
    """Print the library in use and a line for each width."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--widths", type=int, nargs="+", default=list(WIDTHS))
    parser.add_argument("--rows", type=int, default=65_536)
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    with threadpool_limits(1):
        for library in threadpool_info():
            print({name: value for name, value in library.items() if name != "filepath"})
        print("width", *(f"{name:>18}" for name in CONTENDERS))
        for width in options.widths:
            x = rng.standard_normal((options.rows, width), np.float32)
            c = rng.random(options.rows)
            median, error = timed(x, c, options.repeats), errors(x, c)
            cells = (f"{1000 * median[name]:8.1f} ({error[name]:.0e})" for name in CONTENDERS)
            print(f"{width:>5}", *(f"{cell:>18}" for cell in cells))


if __name__ == "__main__":
    main()
