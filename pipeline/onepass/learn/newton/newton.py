"""Block-proximal streaming Newton: the batch optimum in one pass, without a learning rate.

The past is one quadratic model of its loss, Q(w) = w'Hw/2 - b'w, in O(width^2) memory. Each block
asks for the w that minimises Q plus the block's own loss; there the block's loss is replaced by its
second-order expansion and added to Q. For squared loss the expansion is exact, so this is recursive
ridge regression, and neither the order nor the split of the rows matters.

The idea is minibatch-prox (J. Wang, W. Wang, N. Srebro, COLT 2017) with the curvature of the past
as the metric, which makes it renewable estimation (L. Luo, P. X.-K. Song, JRSS-B 82, 2020, sec.
2.2). Where the loss is not quadratic, a start-up prior, faded as rows arrive, stands in for step
sizes while H is still singular. A kink is rounded over a width (for quantile as in M. Fernandes,
E. Guerre, E. Horta, JBES 39, 2021), for its second derivative is where the information is.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from onepass.block import Block, FloatArray, Linear
from onepass.errors import Diverged
from onepass.learn.curvature import Curvature, gram, is_well_conditioned, solve
from onepass.learn.kernels import dense_margins
from onepass.learn.losses import HINGE, SOFTMAX, SQUARED, Loss
from onepass.learn.newton.expansion import Expansion, Rows, expand, kink_width
from onepass.learn.newton.expansion_pass import Columns, Passed, expansion_pass
from onepass.learn.newton.linesearch import Line, step_length
from onepass.learn.newton.uncertainty import on_features, variance_of_margins
from onepass.learn.objective import Objective, Sums
from onepass.learn.scaling import Standardiser
from onepass.learn.updater import State, Weights, checked, copied

MAX_WIDTH = 512
"""Widest dense design that `newton` takes by default; its cost per row grows with the square."""

_INTERCEPT_PRIOR = 1e-6
_FIRST_ROWS = 32_768
_FIRST_BYTES = 32 << 20
_SETTLED_ROWS = 65_536
_SETTLED = 0.5
_SHORT = 0.1
"""A step that moves no margin of a block farther needs no search for its length: the loss is all
but its quadratic model there, however many weights share in the step."""

_SETTLED_FIRST = 0.05
_MAX_STEPS = 6
_MAX_STEPS_FIRST = 40


def least_rows(n_weights: int) -> int:
    """Rows of a block whose own curvature is well determined."""
    return max(4096, 20 * n_weights)


def kept_rows(n_weights: int) -> int:
    """Rows that are learnt anew with the next ones until there are so many."""
    return max(4096, 30 * n_weights)


def first_rows(n_weights: int) -> int:
    """Rows of the first block, as many as fit into a bounded matrix."""
    return max(least_rows(n_weights), min(_FIRST_ROWS, _FIRST_BYTES // (8 * n_weights)))


class Newton:
    """Streaming Newton on standardised dense features.

    Parameters
    ----------
    loss
        What to minimise.
    n_dense
        Width of the dense part of a block.
    l2
        Ridge penalty: adds ``l2 / 2 * |w|^2`` per row, on standardised features, intercept free.
    base
        Intercept to start from.
    half_life
        Age in rows at which a row counts half; None: all rows count alike.
    cautious
        Whether squared loss, too, has the start-up prior. What others learn meanwhile then is not
        misled by the first rows; the end is no longer exactly ridge regression.
    """

    def __init__(
        self,
        loss: Loss,
        n_dense: int,
        *,
        l2: float = 0.0,
        base: float = 0.0,
        half_life: float | None = None,
        cautious: bool = False,
    ) -> None:
        self.loss, self.n_dense, self.l2, self.half_life = loss, n_dense, l2, half_life
        self._cautious = cautious
        self._scaling = Standardiser(n_dense)
        self._weight = np.zeros(())
        self._label_square = np.zeros(())
        self._noise = np.zeros(())
        self._bend = np.zeros(())
        self._w = np.zeros((loss.n_outputs, n_dense + 1))
        self._w[:, -1] = base
        self._h = np.zeros((self._w.size, self._w.size))
        self._b = np.zeros(self._w.size)
        self._single = np.zeros((), np.bool_)
        self._keep(None)

    @property
    def known_rows(self) -> int:
        """Rows learnt so far, as many as still count."""
        counted = float(self._scaling.weight)
        share = min(1.0, float(self._weight) / counted) if counted else 1.0
        return int(int(self._scaling.n_rows) * share)

    @property
    def block_rows(self) -> int:
        """Rows to learn at once: enough that their own curvature is well determined.

        The first rows are expanded where nothing is known yet, so they are taken in one large
        piece: with 1 % positives that takes the excess over batch from 0.14 % to 0.01 %. Later a
        piece is small beside what is known, and a larger one needs fewer systems to be solved.
        """
        least = least_rows(self._w.size)
        if int(self._scaling.n_rows) < least:
            return first_rows(self._w.size)
        return max(least, min(_SETTLED_ROWS, self.known_rows // 64))

    def update(self, block: Block) -> FloatArray:
        """Learn a block; see `Updater.update`."""
        margins = [self.learn(piece) for piece in block.pieces(self.block_rows) if piece.n_rows]
        return np.concatenate(margins) if margins else self.predict(block)

    def learn(self, block: Block, offset: FloatArray | None = None) -> FloatArray:
        """Learn one block as a whole; return the margins from before, offset included.

        Parameters
        ----------
        offset
            Part of each margin that comes from elsewhere, shaped like the margins.
        """
        aged = replace(
            block, dense=np.ascontiguousarray(block.dense), weight=self._aged(block.weight)
        )
        if offset is None:
            offset = np.zeros((block.n_rows, 1))
        is_first, varied = not self._scaling.n_rows, self._scaling.varies()
        n_more = int(np.count_nonzero(block.weight))
        passed = None
        if self._single and not self.loss.is_kinked and not self._scaling.is_due(n_more):
            passed = self._passed(aged, block.weight, offset)
            self._scaling.add_sums(n_more, passed.weight, passed.first, passed.second)
        else:
            self._scaling.add(aged.dense, block.weight)
        begins = bool((self._scaling.varies() & ~varied).any())
        if passed is not None and not begins:
            return self._learn_passed(aged, offset, passed)
        if self._scaling.is_due() or (begins and self._single):
            self._move(self._scaling.refresh())
            # A feature that begins has no scale before, and next to no curvature yet.
            self._single[()] = not begins and self._single_is_enough()
        rows = self._rows(aged, offset.reshape(block.n_rows, -1))
        before = rows.margins(self._w)
        self._weight += aged.weight.sum()
        if self.loss.code == SQUARED:
            self._learn_exactly(rows)
        elif not self._cautious and (is_first or len(self._kept_weight)):
            self._learn_again(aged)
        else:
            self._minimise(rows, before)
        self._check()
        return self._shaped(before)

    def _passed(self, block: Block, counted: FloatArray, offset: FloatArray) -> Passed:
        scaling = self._scaling
        return expansion_pass(
            self.loss,
            Columns(scaling.center, scaling.scale, scaling.mean, self._w[0]),
            block.dense,
            block.label,
            block.weight,
            counted,
            np.ascontiguousarray(offset[:, 0]),
            from_zero=self.loss.code == SQUARED,
        )

    def _learn_passed(self, block: Block, offset: FloatArray, passed: Passed) -> FloatArray:
        """Learn a block that has been passed over in single precision."""
        found = passed.expansion
        self._weight += block.weight.sum()
        if self.loss.code == SQUARED:
            y = block.label - offset[:, 0]
            self._label_square += (block.weight * y * y).sum()
            self._h += found.curvature
            self._b -= found.slope
            self._w[0] = self._solved()
        elif not self._stepped(found, block):
            self._minimise(self._rows(block, offset), passed.margin[:, None])
        self._check()
        return passed.margin

    def _check(self) -> None:
        if not np.isfinite(self._w).all():
            raise Diverged("the weights of newton are no longer finite; look for absurd values")

    def fade(self, factor: float) -> None:
        """Let all rows so far count only `factor` as much."""
        sums = (self._h, self._b, self._weight, self._label_square, self._noise, self._bend)
        for array in (*sums, self._kept_weight):
            array *= factor

    def predict(self, block: Block) -> FloatArray:
        """Margin of each row."""
        margin = np.empty((block.n_rows, len(self._w)))
        w = self._on_features(self._w)
        dense_margins(np.ascontiguousarray(block.dense), w, margin)
        return self._shaped(margin)

    def horizon(self, done: int, planned: int) -> None:
        """Nothing here depends on how many rows follow."""

    def linear(self) -> Linear:
        """Weights on the block's own features."""
        found = self._on_features(self._w)
        return Linear(found[:, -1], found[:, :-1], np.empty((0, len(found))))

    def weights(self) -> Weights:
        """The same with their covariance; see `covariance`."""
        return Weights.of(self.linear(), self.covariance(), several=self.loss.code == SOFTMAX)

    def covariance(self) -> FloatArray | None:
        """Covariance of the weights on the block's own features, the intercept's behind.

        The inverse curvature (observed information) times the dispersion: 1 for logistic, softmax
        and poisson; the residual variance for squared; else the mean squared gradient over the
        mean curvature, which for quantile is the sparsity formula for errors of one distribution
        (R. Koenker, "Quantile Regression", 2005, sec. 3.2), for huber that of P. Huber, "Robust
        Statistics", 1981, eq. 7.6.6.

        Returns
        -------
        Shape (n_outputs * (n_dense + 1),) squared; NaN for features that never varied. None for
        hinge, which is no likelihood.
        """
        if self.loss.code == HINGE:
            return None
        curvature = Curvature(self._h + np.diag(self._ridge(0.0)))
        found = curvature.inverse() * self._dispersion(curvature.rank)
        return on_features(found, self._scaling, len(self._w))

    def margin_variance(self, block: Block) -> FloatArray:
        """Variance of each margin from what is not yet known of the weights.

        Returns
        -------
        Shape (n_rows, n_outputs).
        """
        covariance = Curvature(self._h + np.diag(self._penalty())).inverse()
        covariance *= self._dispersion(0) if self._scaling.n_rows else 1.0
        x = self._scaling.apply(np.ascontiguousarray(block.dense))
        of_classes = self.loss.code == SOFTMAX
        return variance_of_margins(covariance, x, len(self._w), of_classes=of_classes)

    def objective(self) -> Objective:
        """What is minimised, for passes over all rows."""
        free = np.append(np.full(self.n_dense, self.l2), 0.0)
        return Objective(
            loss=self.loss,
            center=self._scaling.center,
            scale=self._scaling.scale,
            n_slots=0,
            ridge=np.tile(free, len(self._w)),
            prior=np.zeros(self._w.size),
        )

    def point(self) -> FloatArray:
        """All weights, flat, on the features of `objective`."""
        return self._w.ravel().copy()

    def adopt(self, point: FloatArray, sums: Sums, *, newton_step: bool) -> None:
        """Go on from sums over all rows at `point` as if they were what has been learnt."""
        assert sums.curvature is not None
        self._h, at = sums.curvature.copy(), self._w.size
        self._b = self._h @ point - sums.slope[:at]
        self._weight[()] = sums.weight
        self._noise[()], self._bend[()] = sums.noise, sums.bend
        # The sum of squared residuals, from which that of the labels follows.
        square = 2 * sums.value + 2 * self._b @ point - point @ self._h @ point
        self._label_square[()] = square if self.loss.code == SQUARED else 0.0
        if newton_step:
            point = solve(self._h + np.diag(self._ridge(0.0)), self._b)
        self._w = self._centred(point.reshape(self._w.shape).copy())
        self._keep(None)

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Copies of all arrays; see `Updater.state`."""
        return copied(self.arrays())

    def restore(self, state: State) -> None:
        """Take over a state; see `Updater.restore`."""
        # The first states do not say how precise they are: all were in double precision.
        state = {"single": np.zeros((), np.bool_), **state}
        found = {
            name: checked(state, name, like, any_rows=name.startswith("kept"))
            for name, like in self.arrays().items()
        }
        lengths = {name: len(found[name]) for name in found if name.startswith("kept")}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"expected rows of one number, found {lengths}")
        for name, array in found.items():
            owner, _, attribute = name.rpartition(".")
            setattr(self._scaling if owner else self, attribute if owner else f"_{name}", array)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """See `Updater.arrays`."""
        names = ("n_rows", "n_applied", "weight", "mean", "m2", "center", "scale")
        own = ("weight", "label_square", "noise", "bend", "w", "h", "b", "single")
        kept = ("kept_dense", "kept_label", "kept_weight")
        return {f"scaling.{name}": getattr(self._scaling, name) for name in names} | {
            name: getattr(self, f"_{name}") for name in own + kept
        }

    def _shaped(self, margins: FloatArray) -> FloatArray:
        return margins if self.loss.code == SOFTMAX else margins[:, 0]

    def _on_features(self, w: FloatArray) -> FloatArray:
        """Weights on features as they come, of weights on standardised ones; intercepts last."""
        raw = w[:, :-1] / self._scaling.scale
        return np.column_stack([raw, w[:, -1] - raw @ self._scaling.center])

    def _aged(self, weight: FloatArray) -> FloatArray:
        if self.half_life is None:
            return weight
        self.fade(0.5 ** (len(weight) / self.half_life))
        return np.asarray(weight * 0.5 ** (np.arange(len(weight))[::-1] / self.half_life))

    def _learn_again(self, block: Block) -> None:
        """Learn a block together with all rows before it, as if they had come at once.

        Rows are kept until they are as many as a block has at least. Expansions of the first ones
        around what little they tell are poor: in files of 2,000 rows, 371 weights of 7 classes
        ended 1.6 % above the batch optimum, and 0.04 % below it so.
        """
        kept = Block(
            self._kept_dense,
            np.empty((len(self._kept_label), 0), np.int32),
            self._kept_label,
            self._kept_weight,
        )
        together = Block.concatenated([kept, replace(block, slots=block.slots[:, :0])])
        for sums in (self._h, self._b, self._noise, self._bend):
            sums *= 0.0
        rows = self._rows(together, np.zeros((together.n_rows, 1)))
        self._minimise(rows, rows.margins(self._w))
        self._keep(together if together.n_rows < kept_rows(self._w.size) else None)

    def _keep(self, block: Block | None) -> None:
        self._kept_dense = np.empty((0, self.n_dense), np.float32) if block is None else block.dense
        self._kept_label = np.empty(0) if block is None else block.label
        self._kept_weight = np.empty(0) if block is None else block.weight

    def _rows(self, block: Block, offset: FloatArray) -> Rows:
        x = self._scaling.apply(np.ascontiguousarray(block.dense), single=bool(self._single))
        return Rows(x, block.label, block.weight, offset)

    def _single_is_enough(self) -> bool:
        """Whether blocks are worked out in single precision from now on, which takes half the time.

        Where features all but depend on each other, rounding would decide between them; the first
        rows, which start from anywhere, stay exact as well.
        """
        if self.loss.code == SOFTMAX or int(self._scaling.n_rows) < 2 * first_rows(self._w.size):
            return False
        return is_well_conditioned(self._h, np.append(self._scaling.varies(), True))

    def _learn_exactly(self, rows: Rows) -> None:
        y = rows.y - rows.offset[:, 0]
        self._label_square += (rows.weight * y * y).sum()
        self._h += gram(rows.x, rows.weight)
        self._b += rows.summed(rows.weight * y)
        self._w[0] = self._solved()

    def _solved(self) -> FloatArray:
        penalty = self._penalty() if self._cautious else self._ridge(0.0)
        return solve(self._h + np.diag(penalty), self._b)

    def _stepped(self, found: Expansion, block: Block) -> bool:
        """Take a full step, if it is a short one, and keep the expansion."""
        point, penalty = self._w.ravel(), self._penalty()
        slope = found.slope + self._h @ point - self._b + penalty * point
        step = solve(self._h + found.curvature + np.diag(penalty), slope)
        if not float(slope @ step) < _SETTLED:
            moved = np.empty((block.n_rows, 1))
            dense_margins(block.dense, self._on_features(step.reshape(self._w.shape)), moved)
            if not np.abs(moved).max() < _SHORT:
                return False
        self._w = (point - step).reshape(self._w.shape)
        self._remember(found, point)
        return True

    def _remember(self, found: Expansion, point: FloatArray) -> None:
        self._h += found.curvature
        self._b += found.curvature @ point - found.slope
        self._noise += found.noise
        self._bend += found.bend

    def _minimise(self, rows: Rows, z: FloatArray) -> None:
        penalty, shape = self._penalty(), self._w.shape
        is_first = int(self._scaling.n_rows) <= 5 * self._w.size + len(z)
        width, majorise = kink_width(self.loss, rows.y, z), is_first
        for _ in range(_MAX_STEPS_FIRST if is_first else _MAX_STEPS):
            # The residuals of the first block shrink as it is fitted.
            width = kink_width(self.loss, rows.y, z) if is_first else width
            point, is_majorised = self._w.ravel(), majorise
            found = expand(self.loss, rows, z, width, majorise)
            past = self._h @ point - self._b + penalty * point
            slope = found.slope + past
            step = solve(self._h + found.curvature + np.diag(penalty), slope)
            decrement = float(slope @ step)
            dz = rows.x @ step.reshape(shape).T
            is_small = decrement < (_SETTLED_FIRST if is_first else _SETTLED)
            if is_small or (not is_first and np.abs(dz).max() < _SHORT):
                # A full step lands on the minimum of the quadratic model that is kept below.
                self._w = (point - step).reshape(shape)
                break
            bend = float(step @ (self._h @ step + penalty * step))
            line = Line(float(step @ past), bend, decrement)
            length = step_length(line, partial(self._value, rows, z, dz, width))
            majorise = length < 0.1
            self._w = (point - length * step).reshape(shape)
            z = rows.margins(self._w)
        self._w = self._centred(self._w)
        if is_majorised:
            # A parabola above the loss is a step size; kept, it would pass for information.
            point = self._w.ravel()
            found = expand(self.loss, rows, rows.margins(self._w), width, False)
        self._remember(found, point)

    def _value(
        self, rows: Rows, z: FloatArray, dz: FloatArray, width: float, length: float
    ) -> float:
        moved = np.ascontiguousarray(self._shaped(z - length * dz))
        return self.loss.total(moved, rows.y, rows.weight, width=width)

    def _centred(self, w: FloatArray) -> FloatArray:
        # What all classes have in common changes no probability; rounding would let it wander.
        return w - w.mean(axis=0) if self.loss.code == SOFTMAX else w

    def _move(self, move: FloatArray) -> None:
        move = np.asarray(np.kron(np.eye(len(self._w)), move), np.float64)
        back = np.linalg.inv(move)
        self._w = (move @ self._w.ravel()).reshape(self._w.shape)
        self._h = back.T @ self._h @ back
        self._b = back.T @ self._b

    def _penalty(self) -> FloatArray:
        # The cube: a prior that fades more slowly still costs 10 % of log loss after 60,000 rows
        # where the condition of the features is 1e4 and the weights are of that size.
        n_rows = max(1, int(self._scaling.n_rows))
        return self._ridge(min(1.0, 20 * self._w.size / n_rows) ** 3)

    def _ridge(self, prior: float) -> FloatArray:
        # The penalty is on features of unit variance; those in use had it at the last refresh.
        unit = np.square(self._scaling.deviation() / self._scaling.scale)
        one = np.append(prior + self.l2 * float(self._weight) * unit, _INTERCEPT_PRIOR)
        return np.tile(one, len(self._w))

    def _dispersion(self, rank: int) -> float:
        freedom = max(1, int(self._scaling.n_rows) - rank)
        if self.loss.code == SQUARED:
            w = self._w[0]
            residual = float(self._label_square - 2 * self._b @ w + w @ self._h @ w)
            return max(0.0, residual) / freedom
        if self.loss.has_unit_dispersion:
            return 1.0
        correction = int(self._scaling.n_rows) / freedom
        return correction * float(self._noise) / max(float(self._bend), 1e-300)
