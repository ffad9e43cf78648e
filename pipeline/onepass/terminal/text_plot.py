"""Draw points of few series as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_GIANT = 1.5
"""Values beyond so many times what nine tenths of all reach are drawn at the upper edge."""


def text_plot(
    x: Sequence[float],
    series: Mapping[str, Sequence[float | None]],
    *,
    width: int = 64,
    height: int = 14,
) -> list[str]:
    """Return the lines of a plot; its horizontal axis begins at 0.

    Parameters
    ----------
    x
        Places of the points, at least one above 0.
    series
        The values of each series at these places, None where there is none, by the sign that marks
        its points. Later series are drawn over earlier ones. A giant value is drawn at the upper
        edge, so that it does not flatten all others.
    width, height
        Size of the field of points, in characters.

    Returns
    -------
    No line if there is no value.
    """
    values = sorted(value for own in series.values() for value in own if value is not None)
    if not values:
        return []
    low = values[0]
    high = min(values[-1], max(low, _GIANT * values[int(0.9 * (len(values) - 1))]))
    field = [[" "] * width for _ in range(height)]
    for sign, own in series.items():
        for place, value in zip(x, own, strict=True):
            if value is not None:
                share = (min(value, high) - low) / (high - low) if high > low else 0.0
                column = round((width - 1) * place / max(x))
                field[round((height - 1) * (1 - share))][column] = sign
    beyond = "> " if values[-1] > high else ""
    labels = {0: f"{beyond}{high:.4g}", height - 1: f"{low:.4g}"}
    margin = max(map(len, labels.values()))
    lines = [
        f"{labels.get(row, ''):>{margin}} |{''.join(cells)}".rstrip()
        for row, cells in enumerate(field)
    ]
    end = f"{max(x):,.0f}"
    return [*lines, f"{'':{margin}} +{'-' * width}", f"{'':{margin}}  0{end:>{width - 1}}"]
