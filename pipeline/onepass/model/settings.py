"""Settings of the learners that a resolved job trains."""

from __future__ import annotations

from itertools import product

from onepass.encode.schema import Schema
from onepass.job import Job
from onepass.learn.settings import Settings


def candidate_settings(
    job: Job, schema: Schema, *, careful: bool = False, by_columns: bool = False
) -> list[Settings]:
    """Return the settings of each candidate: every learning rate of the job with every l2.

    Parameters
    ----------
    job
        A job in which every automatic choice has been made.
    schema
        Encoder schema of the model; it gives the width of the features and the label's scale.
    careful
        Whether a learner of few rows predicts carefully; see `ModelFile.start`.
    by_columns
        Whether newton works column by column; see `ModelFile.pass_over`.
    """
    label, n_dense = schema.label, schema.n_dense
    rates: list[float | None] = [*job.learning_rate] or [None]
    return [
        Settings(
            solver=job.solver,
            loss=job.loss,
            n_dense=n_dense,
            n_slots=schema.n_slots,
            learning_rate=rate,
            l2=l2,
            l1=job.l1,
            schedule=job.schedule,
            averaging=job.averaging,
            implicit=bool(job.implicit),
            minibatch=job.minibatch,
            half_life_rows=job.half_life_rows,
            half_life_partitions=job.half_life_partitions,
            quantiles=tuple(job.quantile),
            delta=job.delta or 1.0,
            n_classes=len(label.classes or ()),
            center=label.center,
            scale=label.scale,
            base=label.base,
            clip=job.clip,
            bases=tuple(label.bases or ()),
            careful=careful,
            by_columns=by_columns,
            n_folds=job.folds,
        )
        for rate, l2 in product(rates, job.l2)
    ]
