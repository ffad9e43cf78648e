"""Learn one block: choose the precision, rescale features when due, minimise, remember."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onepass.block import Block, FloatArray
from onepass.learn.curvature import gram, is_well_conditioned
from onepass.learn.known import with_offset
from onepass.learn.label_sums import label_sums, loss_and_pearson
from onepass.learn.newton.column_pass import column_pass
from onepass.learn.newton.difference import NewtonDifference
from onepass.learn.newton.expansion import Expansion, Rows
from onepass.learn.newton.expansion_pass import Columns, Passed, expansion_pass
from onepass.learn.newton.kept import Kept
from onepass.learn.newton.limits import Limits, kept_rows
from onepass.learn.newton.proximal import fit_block, full_step, shaped
from onepass.learn.newton.saturated import (
    Saturated,
    base_information,
    expected,
    is_saturated,
)
from onepass.learn.newton.scored import scored
from onepass.learn.newton.solution import Solution
from onepass.learn.pointwise import SOFTMAX, SQUARED
from onepass.learn.updater import State, checked

_MOST_DERIVATIVES = 1 << 21
"""Most second derivatives of rows at once, 16 MiB."""

_RARE: dict[str, NDArray[np.generic]] = {"anchor": np.zeros(()), "chosen": np.zeros(0)}
"""Arrays that only some states have, as they are in the others."""


class BlockLearner:
    """Updates a `Solution` block by block.

    The first rows are learnt in double precision, in separate steps. Later blocks go through
    `expansion_pass` or `column_pass` in single precision, if the features are well-conditioned and
    the loss has one margin and no kink. A block in which a refresh of the scale is due, or a
    feature begins to vary, takes the separate steps again.

    Parameters
    ----------
    solution
        Updated in place.
    cautious, by_columns, saturated, has_offset, limits
        As for `Newton`.
    """

    def __init__(
        self,
        solution: Solution,
        *,
        cautious: bool,
        by_columns: bool,
        saturated: Saturated = "fitted",
        has_offset: bool = False,
        limits: Limits,
    ) -> None:
        self.loss, self.solution = solution.loss, solution
        self._cautious, self._by_columns, self._limits = cautious, by_columns, limits
        is_told = saturated != "fitted"
        self._base = base_information(self.loss, solution.base) if is_told else 0.0
        """Information of a row of a constant; 0 where saturated rows are not told apart."""
        self._settles = saturated == "settled"
        self.single = np.zeros((), np.bool_)
        """Whether blocks are in single precision."""
        has_clusters = solution.keeps.scores == "clusters"
        self.kept = Kept(solution.w.shape[1] - 1, has_offset=has_offset, has_clusters=has_clusters)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return all arrays that change, by name, without copying them."""
        return self.solution.arrays() | {"single": self.single} | self.kept.arrays()

    def restore(self, state: State) -> None:
        """Continue from arrays named as in `arrays`; see `Updater.restore`."""
        # States of the first format have no "single": all of them were in double precision.
        state = {"single": np.zeros((), np.bool_), **_RARE, **state}
        found = {
            name: checked(
                state, name, like, any_rows=name.startswith(("kept", "cluster", "chosen"))
            )
            for name, like in (_RARE | self.arrays()).items()
        }
        lengths = {name: len(found[name]) for name in found if name.startswith("kept")}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"expected rows of one number, found {lengths}")
        self.take(found)

    def take(self, state: dict[str, NDArray[Any]]) -> None:
        """Put arrays, named as in `arrays`, in place of the present ones."""
        self.solution.take(state)
        self.kept.take(state)
        self.single = state["single"]

    def learn(self, block: Block, counted: FloatArray, offset: FloatArray) -> FloatArray:
        """Learn a block; return the margins from before, offset included.

        Parameters
        ----------
        block
            Contiguous dense features, and weights that age.
        counted
            Weights that do not age: those of the moments of the features.
        offset
            Part of each margin that features do not explain, shape (n_rows, n_outputs): the offset
            of the block, and what comes from elsewhere.
        """
        is_first, varied = not self.solution.n_rows, self.solution.scaling.varies()
        passed = self._observe(block, counted, offset)
        begins = bool((self.solution.scaling.varies() & ~varied).any())
        if passed is None or begins:
            return self._learn_separately(block, offset, is_first=is_first, begins=begins)
        self._learn_passed(block, offset, passed)
        self._add_scores(block, offset)
        return passed.margin

    def rows_to_add_up(self) -> int:
        """Return the number of rows from which on differences to the solution can be merged.

        Squared loss is exact from the first row on. For the other losses, rows are not kept any
        more, and each weight has so many rows that it has settled: with 7 classes of 53 features
        and half as many rows, the holdout loss rose by 0.08 %.
        """
        if self.loss.code == SQUARED and not self._cautious:
            return 1
        n_weights = self.solution.w.size
        return max(kept_rows(n_weights), 60 * n_weights)

    def merge(self, found: NewtonDifference) -> None:
        """Add a difference to the solution, rescale features if due, and solve for the weights."""
        solution, varied = self.solution, self.solution.scaling.varies()
        found.add_to(solution)
        self._rescale_if_due(begins=bool((solution.scaling.varies() & ~varied).any()))
        if self.loss.code == SQUARED:
            self._solve_exactly()
        else:
            solution.solve_step()

    def _observe(self, block: Block, counted: FloatArray, offset: FloatArray) -> Passed | None:
        """Add a block to the moments of the features, with its expansion if one pass gives both."""
        n_more = int(np.count_nonzero(counted))
        if not self.single or self.loss.is_kinked or self.solution.scaling.is_due(n_more):
            self.solution.scaling.add(block.dense, counted)
            return None
        scaling = self.solution.scaling
        passed = (column_pass if self._by_columns else expansion_pass)(
            self.loss,
            Columns(scaling.center, scaling.scale, scaling.mean, self.solution.w[0]),
            block,
            counted,
            np.ascontiguousarray(offset[:, 0]),
            from_zero=self.loss.code == SQUARED,
        )
        scaling.add_sums(n_more, passed.weight, passed.first, passed.second)
        return passed

    def _learn_passed(self, block: Block, offset: FloatArray, passed: Passed) -> None:
        """Learn a block from its expansion in single precision."""
        found = passed.expansion
        self._count(block)
        if self.loss.code == SQUARED:
            self.solution.past.add_labels(block.label - offset[:, 0], block.weight)
            self.solution.past.add_squares(found.curvature, -found.slope)
            self._solve_exactly()
            return

        def farthest(step: FloatArray) -> float:
            return float(np.abs(self.solution.moved_by(step, block.dense)).max())

        solution, w = self.solution, None
        if not self._is_saturated(found):
            w = full_step(
                solution.past, solution.w, found, solution.restraint(), farthest, self.loss.unit
            )
        if w is None:
            self._fit(self._rows(block, offset), passed.margin[:, None])
        else:
            point, self.solution.w = self.solution.w.ravel(), w
            if self.solution.keeps.likelihood:
                value, pearson = loss_and_pearson(
                    self.loss, passed.margin[:, None], block.label, block.weight
                )
                found = replace(found, value=value, pearson=pearson)
            self.solution.past.add(found, point)

    def _learn_separately(
        self, block: Block, offset: FloatArray, *, is_first: bool, begins: bool
    ) -> FloatArray:
        """Learn a block in separate steps; return the margins from before.

        Parameters
        ----------
        is_first
            Whether no row has been learnt before.
        begins
            Whether a feature varies for the first time.
        """
        self._rescale_if_due(begins=begins)
        rows = self._rows(block, offset.reshape(block.n_rows, -1))
        before = rows.margins(self.solution.foresight())
        self._count(block)
        if self.loss.code == SQUARED:
            y = rows.y - rows.offset[:, 0]
            self.solution.past.add_labels(y, rows.weight)
            self.solution.past.add_squares(gram(rows.x, rows.weight), rows.summed(rows.weight * y))
            self._solve_exactly()
        elif not self._cautious and (is_first or len(self.kept)):
            self._learn_again(block)
            return shaped(self.loss, before)
        else:
            self._fit(rows, before)
        self._add_scores(block, rows.offset)
        return shaped(self.loss, before)

    def _rescale_if_due(self, *, begins: bool) -> None:
        if self.solution.scaling.is_due() or (begins and self.single):
            self.solution.rescale()
            # A feature that begins to vary had no scale before, and has hardly any curvature yet.
            self.single[()] = not begins and self._single_is_enough()

    def _learn_again(self, block: Block) -> None:
        """Learn a block together with all rows before it, as if they had come at once."""
        together = self.kept.with_more(block)
        self.solution.past.forget_expansions()
        offset = with_offset(np.zeros((together.n_rows, 1)), together)
        rows = self._rows(together, offset)
        self._fit(rows, rows.margins(self.solution.w))
        self._add_scores(together, offset)
        self.kept.keep(together, self.solution.w.size)

    def _fit(self, rows: Rows, z: FloatArray) -> None:
        """Minimise the past plus the loss of rows with margins z, and add their expansion."""
        is_first = self.solution.n_rows <= 5 * self.solution.w.size + len(z)
        penalty = self.solution.restraint()
        fit = fit_block(
            self.loss, self.solution.past, self.solution.w, rows, z, penalty, is_first=is_first,
            closely=self._settles and self._was_saturated(rows),
            with_value=self.solution.keeps.likelihood,
        )  # fmt: skip
        self.solution.w, found = fit.w, fit.expansion
        if self._is_saturated(found):
            z = rows.margins(fit.point.reshape(fit.w.shape))
            known = self.solution.past.h + np.diag(penalty.ridge)
            found = expected(self.loss, rows, z, found, known)
        self.solution.past.add(found, fit.point)

    def _is_saturated(self, found: Expansion) -> bool:
        """Return whether the rows so far, with a block, tell nearly separable classes apart."""
        if not self._base:
            return False
        past = self.solution.past
        return is_saturated(
            past.h, found.curvature, float(past.weight), self._base, self.loss.n_outputs
        )

    def _was_saturated(self, rows: Rows) -> bool:
        """Return whether the rows before these, which are counted, tell classes nearly apart."""
        past = self.solution.past
        if not self._base or not past.h[-1, -1]:
            return False
        weight = float(past.weight) - float(rows.weight.sum())
        return is_saturated(past.h, np.zeros_like(past.h), weight, self._base, self.loss.n_outputs)

    def _count(self, block: Block) -> None:
        """Add what depends on weights and labels alone."""
        past = self.solution.past
        past.weight += block.weight.sum()
        if self.solution.keeps.likelihood:
            past.likelihood += label_sums(self.loss, block)

    def _add_scores(self, block: Block, offset: FloatArray) -> None:
        """Add the scores of rows at the present weights."""
        scores = self.solution.past.scores
        if scores is None:
            return
        # The second derivatives of many classes are large beside the rows.
        step, first = max(1, _MOST_DERIVATIVES // self.loss.n_outputs**2), 0
        for piece in block.pieces(step if scores.is_curved else max(1, block.n_rows)):
            rows = self._rows(piece, offset[first : first + piece.n_rows])
            own = scored(self.loss, rows, self.solution.w, curvature=scores.is_curved)
            scores.add(own, piece.cluster)
            first += piece.n_rows

    def _solve_exactly(self) -> None:
        self.solution.solve_exactly(with_prior=self._cautious)

    def _rows(self, block: Block, offset: FloatArray) -> Rows:
        x = self.solution.scaling.apply(np.ascontiguousarray(block.dense), single=bool(self.single))
        return Rows(x, block.label, block.weight, offset)

    def _single_is_enough(self) -> bool:
        """Return whether blocks are computed in single precision until the next refresh.

        Nearly collinear features need double precision, because rounding would decide how they
        share their weight. So do the first rows, whose expansions start from the initial weights.
        """
        if self.loss.code == SOFTMAX or not self._limits.allows_single:
            return False
        if self.solution.n_rows < 2 * self._limits.first_block(self.solution.w.size):
            return False
        return is_well_conditioned(
            self.solution.past.h, np.append(self.solution.scaling.varies(), True)
        )
