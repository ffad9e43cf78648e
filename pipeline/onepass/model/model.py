"""Predict with a trained model."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onepass.block import Float32Array, FloatArray, Linear
from onepass.encode.classes import class_values
from onepass.encode.encoder import Encoded, Encoder
from onepass.errors import JobError
from onepass.learn.learns import Learns
from onepass.learn.losses import PROBABILITY, SEVERAL
from onepass.learn.updater import Weights
from onepass.ledger.entries import LearntEntry
from onepass.model.counted_rows import CountedRows
from onepass.model.covariance import Errors
from onepass.model.directory import OpenModel, open_model
from onepass.model.intervals import AskedInterval, IntervalOf, Intervals
from onepass.model.predictor import Predictor, predicted
from onepass.model.rows import Rows, table_of
from onepass.model.sklearn_export import to_sklearn
from onepass.model.state import ModelState
from onepass.model.versions import read_version


class Model:
    """A trained model to predict with.

    Examples
    --------
    ::

        model = Model.load("models/deliveries")
        model.predict(table)  # a pyarrow Table, pandas DataFrame or mapping of columns
    """

    def __init__(self, opened: OpenModel, state: ModelState, entry: LearntEntry) -> None:
        self.file = opened.file
        self.entry = entry
        """Log entry of the version that was loaded."""
        history = opened.ledger.history
        trained = history.trained(entry.version)
        self.rows = sum(one.rows for one in trained)
        """Number of rows that the version has learnt."""
        self.repeats = history.repeats(entry.version)
        """How often each row was learnt, on average; a row gives its information once."""
        self.learner: Learns = state.learner
        self.frequent = state.frequent
        """Counts of frequent values of the hashed columns."""
        # A log may have very many partitions, and most models count nothing.
        counted = trained if opened.file.encoder.counted_names() else []
        self.counted_rows = CountedRows.of(opened.file.batch_rows, counted)
        """How many rows these counts stand for."""

    @classmethod
    def load(cls, path: str | Path, version: int | str | None = None) -> Model:
        """Load a version of the model in a directory.

        Parameters
        ----------
        version
            Number of the version, a tag, or ``newest``; by default the version that the tag
            ``current`` names, which is the newest unless the tag has been set.

        Raises
        ------
        ModelNotFound
            If there is no model, or it has not been trained.
        JobError
            If there is no such version or tag, or the state of the version is no longer kept.
        ForeignModel
            If the directory is unsound.
        """
        opened = open_model(path)
        entry, state = read_version(opened, version)
        return cls(opened, state, entry)

    @property
    def version(self) -> int:
        """Number of the version that was loaded."""
        return self.entry.version

    @property
    def weights(self) -> list[Weights]:
        """Weights of the encoded features: one `Weights`, or one for each quantile.

        They are in the label's unit. For a loss with a link they are in the unit of the margin:
        log-odds for logistic, logarithm of the mean for poisson and gamma; see `losses.link_of`.
        """
        return self.learner.weights(self.repeats)

    def predict(self, rows: Rows) -> NDArray[Any]:
        """Predict rows in the label's unit.

        Parameters
        ----------
        rows
            The feature columns, those of key=value folders included, in any order, with the columns
            of offset and exposure if the model has them. A struct is read as its fields, as in
            files.

        Returns
        -------
        Shape (n_rows,): a number; the probability of the positive class for logistic, probit and
        cloglog loss; the margin for hinge loss; the most likely class for softmax and ordinal loss,
        as in the label's column.
        Shape (n_rows, n_quantiles) for several quantiles, in rising order.

        Raises
        ------
        BadColumn
            If a column is missing or of another type.
        TypeError
            If `rows` is not a collection of columns.
        """
        found = self._predictions(rows)
        if self.file.job.loss not in SEVERAL:
            return found
        classes: NDArray[Any] = np.asarray(class_values(self.file.encoder.label))
        return np.asarray(classes[found.argmax(axis=1)])

    def predict_interval(
        self,
        rows: Rows,
        level: float = 0.95,
        *,
        of: IntervalOf = "mean",
        errors: Errors | None = None,
    ) -> tuple[FloatArray, FloatArray]:
        """Return the lower and the upper end of an interval for the prediction of each row.

        The weights of dense and of hashed features are uncertain, those of different hashed
        features apart from each other and from the dense ones.

        Parameters
        ----------
        rows
            As for `predict`.
        level
            Coverage of the intervals.
        of
            ``mean`` for the mean of rows like this one; ``row`` for the label of a new row, for
            squared loss only.
        errors
            ``model`` or ``robust`` covariance; by default robust if the model keeps it.

        Returns
        -------
        Two arrays of the shape of the predictions, that of `predict_proba` for softmax. NaN where
        a row has a value that no row learnt had.

        Raises
        ------
        JobError
            If the model does not know the covariance of its weights, or has no such interval.
        BadColumn, TypeError
            If `predict` raises it.
        """
        intervals = self.intervals(AskedInterval(level, of, errors))
        found = intervals.predicted(self._encoded(rows, offset=True), self.predictor.unit)
        return found.low, found.high

    def intervals(self, asked: AskedInterval) -> Intervals:
        """Return what predicts rows with intervals; raises `JobError` as `predict_interval`."""
        dispersion = None
        if asked.of == "row":
            # Imported here: the statistics of a fit are those of a model.
            from onepass.model.fit_statistics import fit_statistics

            fit = fit_statistics(self)
            dispersion = None if fit is None else fit.dispersion
        return Intervals.of(
            self.file, self.learner, asked, repeats=self.repeats, dispersion=dispersion
        )

    def predict_proba(self, rows: Rows) -> FloatArray:
        """Return the probability of each class of `classes`, shape (n_rows, n_classes).

        Raises
        ------
        JobError
            If the loss of the model gives no probabilities.
        BadColumn, TypeError
            If `predict` raises it.
        """
        loss = self.file.job.loss
        if loss not in PROBABILITY | SEVERAL:
            raise JobError(f"a model of {loss} loss has no probabilities; use predict")
        found = self._predictions(rows)
        return found if loss in SEVERAL else np.column_stack([1 - found, found])

    @property
    def classes(self) -> list[Any] | None:
        """Classes in the order of their probabilities; None for a regression."""
        label = self.file.encoder.label
        return None if label.classes is None else class_values(label)

    def features(self, rows: Rows) -> Float32Array:
        """Return the dense features that `weights` belong to, shape (n_rows, n_dense).

        Raises as `predict`.
        """
        return self._encoded(rows).block.dense

    def to_sklearn(self) -> Any:
        """Return a fitted scikit-learn pipeline of the same encoding and coefficients.

        It predicts for an offset of 0 and an exposure of 1, which scikit-learn does not have.

        Raises
        ------
        JobError
            If scikit-learn has no counterpart of the model, or is not installed.
        """
        power = 3.0 if self.file.job.loss == "inverse_gaussian" else self.loss_shape
        return to_sklearn(self.file, self.weights, self.features, self.classes, power)

    @property
    def loss_shape(self) -> float:
        """Power of tweedie, or overdispersion of negative binomial loss: as given, or as found."""
        return self.learner.best().losses[0].shape

    @cached_property
    def predictor(self) -> Predictor:
        """The weights that `predict` uses, copied at its first call."""
        return Predictor.of(self.file, self.entry, self.learner.best())

    def _predictions(self, rows: Rows) -> FloatArray:
        encoded = self._encoded(rows, self.predictor.linear, offset=True)
        return predicted(encoded, self.predictor.unit)

    def _encoded(
        self, rows: Rows, linear: Linear | None = None, *, offset: bool = False
    ) -> Encoded:
        # These rows have a column in place of each key=value folder of the lake. Features alone
        # need no offset.
        update: dict[str, Any] = {"hive": {}}
        update |= {} if offset else {"offset": None, "exposure": None}
        flat = Encoder(self.file.encoder.model_copy(update=update))
        table = table_of(rows, self.file.encoder)
        return flat.encode(table, {}, label=False, linear=linear)

    def __repr__(self) -> str:
        job = self.file.job
        return (
            f"<Model {job.model}: {job.solver}, {job.loss} loss of {job.label!r}, "
            f"version {self.version}>"
        )
