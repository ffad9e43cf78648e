"""A coefficient of a model, with what is known of its error."""

from __future__ import annotations

from pydantic import BaseModel


class Coefficient(BaseModel):
    """Coefficient of one feature."""

    feature: str
    column: str | None = None
    """Column of the feature; None for the intercept."""
    output: str | None
    """Class or quantile of the coefficient; None if the model has a single margin."""
    coefficient: float
    """Change of the prediction per unit of the column; per day for a trend. The change is in
    log-odds for logistic and softmax, in the log of the mean for poisson and gamma, and in the
    margin for hinge. 0 for an aliased feature."""
    aliased: bool
    """Whether the feature is a linear combination of those before it, and was left out."""
    std_error: float | None
    """Standard error, by the errors that the summary names; None if the solver has no curvature, or
    the feature is aliased or never varied."""
    model_error: float | None = None
    robust_error: float | None = None
    """Standard errors by the model and by the scores of rows or clusters, whichever are named; None
    if not kept."""
    z: float | None
    """Coefficient over its standard error."""
    p_value: float | None
    """Two-sided p-value of the hypothesis that the coefficient is 0: by Student's t for squared
    loss, else by the normal distribution."""
    low: float | None
    high: float | None
    """Upper end of the confidence interval of the summary's `level`; `low` is its lower end."""
    ratio: float | None = None
    """Exponential of the coefficient, if the loss has ratios (the summary names them)."""
    ratio_low: float | None = None
    ratio_high: float | None = None
    """Upper end of the confidence interval of the ratio; `ratio_low` is its lower end."""
    read_as: str | None = None
    """Form in which the column is read, such as "within [0, 1]"; None if as it is. The coefficient
    is per unit of the column within the bounds, or per unit of the logarithm."""
    effect: float
    """Change of the prediction per standard deviation of a number, or as a 0/1 feature turns 1."""
