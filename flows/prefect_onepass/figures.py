"""Numbers as people read them: few digits, thousands separators, units of time."""

from __future__ import annotations

from collections.abc import Iterable


def rounded(value: float | None, digits: int = 6) -> str:
    """Return a number with at most `digits` significant digits; a dash for None.

    Examples
    --------
    >>> rounded(138.32824989103435), rounded(1234567.8), rounded(0.000012345678), rounded(None)
    ('138.328', '1,234,568', '1.23457e-05', '-')
    """
    if value is None:
        return "-"
    if abs(value) >= 10**digits and abs(value) < 1e15:
        return f"{value:,.0f}"
    return f"{value:,.{digits}g}"


def duration(seconds: float) -> str:
    """Return a time as one or two units.

    Examples
    --------
    >>> duration(0.034), duration(12.34), duration(125), duration(11520)
    ('34 ms', '12.3 s', '2 min 5 s', '3 h 12 min')
    """
    if seconds < 0.0995:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 10:
        return f"{seconds:.2g} s"
    if seconds < 59.95:
        return f"{seconds:.3g} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60:,} h {minutes % 60} min"


def mean(weighted: Iterable[tuple[int, float | None]]) -> float | None:
    """Return the mean of values with their rows as weights; None if no row has a value.

    Examples
    --------
    >>> mean([(1, 3.0), (2, 6.0), (5, None)])
    5.0
    """
    known = [(rows, value) for rows, value in weighted if value is not None]
    rows = sum(rows for rows, _ in known)
    return sum(rows * value for rows, value in known) / rows if rows else None
