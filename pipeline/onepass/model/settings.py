"""Settings of the learners that a resolved job trains."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import product

from onepass.encode.schema import Label, Schema
from onepass.job import Job
from onepass.learn.newton.keeps import Keeps, ScoreKind
from onepass.learn.newton.saturated import Saturated
from onepass.learn.newton.slots_prior import SlotPrior
from onepass.learn.settings import Settings
from onepass.model.penalties import dense_penalties


def candidate_settings(
    job: Job,
    schema: Schema,
    *,
    careful: bool = False,
    by_columns: bool = False,
    likelihood: bool = False,
    prior: Mapping[str, float] | None = None,
    slot_prior: SlotPrior = "believed",
    uncertain: bool = False,
    repeats: bool = True,
    saturated: Saturated = "fitted",
) -> list[Settings]:
    """Return the settings of each candidate: every learning rate with every l2 and power.

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
    likelihood
        Whether newton keeps the sums of the likelihood; see `ModelFile.keeps`.
    prior
        See `ModelFile.prior`.
    slot_prior
        How newton finds the prior of hashed weights; see `ModelFile.slot_prior`.
    uncertain
        Whether dense weights learn beside uncertain hashed ones; see `ModelFile.slot_margins`.
    repeats
        Whether class weights are numbers of rows to slots; see `ModelFile.weighted_slots`.
    saturated
        How newton learns saturated rows; see `ModelFile.saturated`.
    """
    penalties = dense_penalties(job, schema, prior)
    label, n_dense = schema.label, schema.n_dense
    scores: ScoreKind = "clusters" if job.cluster else "rows" if job.robust else "none"
    rates: list[float | None] = [*job.learning_rate] or [None]
    powers = job.power if job.loss == "tweedie" else job.power[:1]
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
            has_offset=schema.has_offset,
            power=power,
            overdispersion=first_overdispersion(job, label),
            estimates_overdispersion=job.loss == "negative_binomial" and job.overdispersion is None,
            level=label.level,
            variation=label.variation,
            class_weights=tuple(label.class_weights or ()),
            keeps=Keeps(likelihood, scores),
            penalties=penalties,
            slot_prior=slot_prior,
            uncertain=uncertain,
            repeats=repeats,
            # The information of a constant beside offsets is not known: with an offset of log odds
            # far from 0, every block of a rare class would count as nearly separable.
            saturated="fitted" if schema.has_offset else saturated,
            n_folds=job.folds,
        )
        for rate, l2, power in product(rates, job.l2, powers)
    ]


def first_overdispersion(job: Job, label: Label) -> float:
    """Return the overdispersion that negative binomial loss starts from; 1 for other losses.

    It is the job's, or that of the sample about a constant prediction. Labels whose variance is
    their mean have none; one in a thousand keeps the estimate going.
    """
    if job.loss != "negative_binomial":
        return 1.0
    level = label.base if label.level is None else label.level
    return job.overdispersion or max(label.variation**2 - math.exp(-level), 1e-3)
