"""Decide the centre and the scale of a label of numbers."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from onepass.block import FloatArray
from onepass.encode.schema import Label
from onepass.encode.target import outside_of_domain
from onepass.errors import JobError
from onepass.survey.label_classes import CLASSIFICATION, Described, SampledLabel, listed_losses
from onepass.survey.scale import location_and_scale, median, robust_scale, winsorised_scale
from onepass.text import percent

DOMAINS: dict[str, Literal["non_negative", "positive"]] = {
    "poisson": "non_negative",
    "gamma": "positive",
    "tweedie": "non_negative",
    "negative_binomial": "non_negative",
    "inverse_gaussian": "positive",
}
"""Losses whose margin is the logarithm of the mean, with the domain of their labels."""


def describe_numbers(sample: SampledLabel, loss: str) -> Described:
    """Describe the label of a regression loss.

    Losses of counts and amounts learn on the logarithm of the label's mean, so their labels are
    neither centred nor scaled.

    Raises
    ------
    JobError
        If the labels are text, or numbers that the loss cannot learn from.
    """
    name, numbers = sample.name, sample.numbers
    if sample.unknown != "error":
        raise JobError(
            f"--unknown-class belongs to {listed_losses(CLASSIFICATION)} loss, not to {loss}"
        )
    if sample.kind == "text":
        raise JobError(
            f"{loss} loss needs a label of numbers, but {name!r} is text ({sample.shown(3)}); "
            "leave --loss out to train it as classes"
        )
    fields: dict[str, object] = {"name": name, "family": sample.kind}
    fields["missing_texts"] = list(sample.missing_texts)
    if loss in DOMAINS:
        _check_domain(sample, loss)
        fields |= {"domain": DOMAINS[loss], "base": math.log(numbers.mean())}
        if loss != "poisson":
            fields["domain_of"] = loss
            fields["variation"] = float(numbers.std() / numbers.mean())
    else:
        fields["center"], fields["scale"] = center_and_scale(numbers, loss)
    is_constant = len(np.unique(numbers)) == 1
    warning = f"{name}: the label is {numbers[0]:g} in every sampled row; nothing to learn"
    return Described(Label.model_validate(fields), {}, [warning] if is_constant else [])


def center_and_scale(numbers: FloatArray, loss: str) -> tuple[float, float]:
    """Return the center and the scale on which a loss sees usual labels at a size of about 1.

    A few giant labels move the mean and the deviation, but hardly the minimum of quantile and huber
    loss. Divided by the deviation, all other labels would be tiny beside the start-up prior and the
    steps of a solver, so that a model could end far above the best constant. Huber loss has the
    wider of two robust scales, because it learns from the sizes of moderately large labels.
    """
    match loss:
        case "quantile":
            return median(numbers), robust_scale(numbers)
        case "huber":
            return median(numbers), winsorised_scale(numbers)
    return location_and_scale(numbers)


def _check_domain(sample: SampledLabel, loss: str) -> None:
    """Refuse labels outside of the domain of a loss with a logarithmic link."""
    least, name = float(sample.numbers.min()), sample.name
    label = Label(name=name, domain=DOMAINS[loss], domain_of=loss)
    if label.domain == "non_negative":
        if least < 0:
            found = f"{outside_of_domain(label, least)} in {name!r}"
            raise JobError(f"{found}; --loss squared or huber take any number")
        if not sample.numbers.any():
            raise JobError(f"{loss} loss needs a label above 0 somewhere, but {name!r} is all 0")
    elif least <= 0:
        share = float(np.mean(sample.numbers <= 0))
        found = f"{outside_of_domain(label, least)} in {name!r}"
        advice = (
            f"--loss poisson or tweedie take zeros, or train {loss} on a lake without these rows"
            if least == 0
            else "--loss squared or huber take any number"
        )
        raise JobError(f"{found} ({percent(share, 2)} of the sample is not above 0); {advice}")
