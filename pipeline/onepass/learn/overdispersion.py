"""Estimate the overdispersion of negative binomial loss while its weights are learnt.

Rows give the likelihood's slope in the logarithm of the overdispersion, at their predictions from
before they were learnt. From time to time the estimate takes a step of the slope over the
information of all rows, which is renewable estimation of one parameter (L. Luo, P. X.-K. Song,
JRSS-B 82, 2020, sec. 2.2). The information is the sum of squared slopes, which is never negative
(E. Berndt, B. Hall, R. Hall, J. Hausman, 1974).

Between these steps the estimate is fixed. So the sums of learners of a round add up, and a learner
that is restored goes on with the same bytes.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from onepass.block import FloatArray
from onepass.jit import compiled
from onepass.learn.settings import Settings
from onepass.learn.updater import State, checked

LEAST, MOST = 1e-6, 1e4
"""Bounds of the estimate. At the lower one the loss is that of poisson, rounding aside."""

_FIRST_ROWS = 256
"""Rows before the first step."""

_GROWTH = 1.25
"""Growth of the number of rows from one step to the next."""

_FARTHEST = 1.0
"""Largest change of the logarithm in one step."""

_MOST_STEPS, _SETTLED = 30, 0.01
"""Most steps over the first rows, and the change at which they end."""

_FAR = 3.0
"""Slope, in its standard deviations, from which on the estimate is far off.

The information of earlier rows is then forgotten, because they were seen from even farther away.
"""

_SLOPE, _SQUARES = range(2)

_NAMES = tuple(f"overdispersion.{name}" for name in ("log", "sums", "known", "rows"))


@compiled
def _digamma(x: float) -> float:
    """Return the derivative of log gamma for x > 0 (M. Abramowitz, I. Stegun, 1964, eq. 6.3.18)."""
    less = 0.0
    while x < 8.0:
        less += 1.0 / x
        x += 1.0
    i = 1.0 / (x * x)
    tail = i * (1 / 12 - i * (1 / 120 - i * (1 / 252 - i * (1 / 240 - i * (1 / 132)))))
    return math.log(x) - 0.5 / x - tail - less


@compiled
def _rise(r: float, y: float) -> float:
    """Return digamma(r + y) - digamma(r), by its sum for small whole numbers y."""
    if y <= 16.0 and y == math.floor(y):
        total = 0.0
        for k in range(int(y)):
            total += 1.0 / (r + k)
        return total
    return _digamma(r + y) - _digamma(r)


@compiled
def slope(a: float, z: float, y: float) -> float:
    """Return the derivative of the log likelihood in the logarithm of the overdispersion a.

    Parameters
    ----------
    z
        Margin, the log of the mean.
    y
        Label, at least 0.
    """
    r = 1.0 / a
    mean = math.exp(min(z, 700.0))
    return -r * (_rise(r, y) - math.log1p(mean / r) + (mean - y) / (r + mean))


@compiled
def _add(a: float, z: FloatArray, y: FloatArray, weight: FloatArray, sums: FloatArray) -> int:
    n_rows = 0
    for i in range(len(z)):
        if weight[i] > 0.0:
            s = slope(a, z[i], y[i])
            sums[_SLOPE] += weight[i] * s
            sums[_SQUARES] += weight[i] * s * s
            n_rows += 1
    return n_rows


class Overdispersion:
    """The estimate, and the sums from which its next step follows.

    Parameters
    ----------
    start
        Overdispersion to start from.
    """

    def __init__(self, start: float) -> None:
        self._log = np.array(math.log(min(max(start, LEAST), MOST)))
        self._sums = np.zeros(2)
        self._known = np.zeros(())
        """Information of the rows before the last step."""
        self._rows = np.zeros(2, np.int64)
        """Rows so far, and at the last step."""
        self.is_held = False
        """Whether no step is taken, because other learners share the estimate."""

    @staticmethod
    def nbytes() -> int:
        """Return the bytes of `arrays`."""
        return 6 * 8

    @property
    def value(self) -> float:
        """The present estimate."""
        return math.exp(float(self._log))

    def add(self, z: FloatArray, label: FloatArray, weight: FloatArray) -> bool:
        """Add rows, with their margins from before they were learnt; return whether steps followed.

        Steps are taken between the rows. Each argument has shape (n_rows,).
        """
        first, moved = 0, False
        while first < len(z):
            last = len(z) if self.is_held else first + self._due() - int(self._rows[0])
            rows = slice(first, last)
            self._rows[0] += _add(self.value, z[rows], label[rows], weight[rows], self._sums)
            moved |= self._step_if_due()
            first = last
        return moved

    def settle(self, z: FloatArray, label: FloatArray, weight: FloatArray) -> None:
        """Move to the best estimate for rows that are not learnt yet, and forget them.

        Rows learnt with an estimate that is far off would count for too much or too little. The
        first quarter is left out, because its margins are hardly better than a constant.
        """
        rows = slice(len(z) // 4, None)
        for _ in range(_MOST_STEPS):
            sums, before = np.zeros(2), float(self._log)
            _add(self.value, z[rows], label[rows], weight[rows], sums)
            self._move(sums[_SLOPE] / max(sums[_SQUARES], 1e-300))
            if abs(float(self._log) - before) < _SETTLED:
                break

    def hold(self) -> None:
        """Take no step from now on; see `Learns.hold`."""
        self.is_held = True

    def difference(self, base: Overdispersion) -> FloatArray:
        """Return the sums and the number of rows added since this was a copy of `base`."""
        return np.append(self._sums - base._sums, float(self._rows[0] - base._rows[0]))

    def merge(self, found: FloatArray) -> bool:
        """Add a result of `difference`; return whether a step was taken."""
        self._sums += found[:2]
        self._rows[0] += int(found[2])
        return self._step_if_due()

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return all arrays that change, by name, without copying them."""
        return dict(zip(_NAMES, self._all(), strict=True))

    def restored(self, state: State) -> Overdispersion:
        """Return the estimate of a state.

        Raises
        ------
        ValueError
            If an array is missing or has another shape.
        """
        found = Overdispersion(self.value)
        arrays = [checked(state, name, like) for name, like in self.arrays().items()]
        found._log, found._sums, found._known, found._rows = arrays
        return found

    def _all(self) -> tuple[NDArray[np.generic], ...]:
        return self._log, self._sums, self._known, self._rows

    def _due(self) -> int:
        """Return the number of rows at which the next step is due."""
        return max(_FIRST_ROWS, int(_GROWTH * int(self._rows[1])))

    def _step_if_due(self) -> bool:
        if self.is_held or self._rows[0] < self._due():
            return False
        slope, squares = self._sums
        is_far = slope**2 > _FAR**2 * squares
        self._known[()] = squares + (0.0 if is_far else float(self._known))
        self._move(slope / max(float(self._known), 1e-300))
        self._sums[:] = 0.0
        self._rows[1] = self._rows[0]
        return True

    def _move(self, step: float) -> None:
        log = float(self._log) + min(max(step, -_FARTHEST), _FARTHEST)
        self._log[()] = min(max(log, math.log(LEAST)), math.log(MOST))


def free_shape(settings: Settings) -> Overdispersion | None:
    """Return the estimate of the shape of a loss; None if the shape is given or there is none."""
    if not settings.estimates_overdispersion:
        return None
    return Overdispersion(settings.overdispersion)
