"""Tasks whose labels are driven by ids: of customers, terminals, apps, users, films and vehicles.

Each is hard for a filter of hashed weights in a way of its own: few positives, ids that occur
together, a column that repeats another, effects that are rare and large, or hardly any effect.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np
import pyarrow as pa
from tasks import LABEL, Maker, Task


def payments(n_rows: int) -> Task:
    """0.8 % frauds: terminals that are taken over for a while, and customers who are robbed.

    Each terminal has about 50 rows, each customer 100. Most frauds are of few ids.
    """
    n = 2 * n_rows
    rng = np.random.default_rng(21)
    n_terminals, n_customers = n // 50, n // 100
    customer = (n_customers * rng.beta(1.0, 1.4, n)).astype(int)
    # A customer pays at the terminals nearby.
    home = rng.integers(0, n_terminals, n_customers)
    terminal = (home[customer] + rng.integers(0, 60, n)) % n_terminals
    day = rng.random(n) * 180
    amount = np.exp(3.7 + 0.7 * rng.normal(size=n) + 0.4 * rng.normal(size=n_customers)[customer])
    taken = np.where(rng.random(n_terminals) < 0.012, 150 * rng.random(n_terminals), np.inf)
    robbed = np.where(rng.random(n_customers) < 0.04, 165 * rng.random(n_customers), np.inf)
    by_terminal = (day > taken[terminal]) & (day < taken[terminal] + 80)
    by_customer = (day > robbed[customer]) & (day < robbed[customer] + 30) & (rng.random(n) < 0.33)
    amount = np.where(by_customer, 5 * amount, amount)
    fraud = by_terminal | by_customer | (amount > 1500)
    columns = {
        "amount": amount,
        "hour": 24 * (day % 1),
        "night": (day % 1) < 0.25,
        "customer": _named("customer", customer),
        "terminal": _named("terminal", terminal),
    }
    return _task("payments", "logistic", columns, fraud.astype(np.int64), ["customer", "terminal"])


def apps(n_rows: int) -> Task:
    """Ten ids a row, of 5,000 altogether, that occur together; two of three rows are made up.

    A made-up row has the user and the circumstances of a true one, and an app by chance.
    """
    n = 2 * n_rows // 3
    rng = np.random.default_rng(22)
    n_users, n_apps = 950, 4_000
    user = _zipf(rng, n_users, n)
    own = _zipf(rng, n_apps, n_users * 40).reshape(n_users, 40)
    app = own[user, (40 ** rng.random(n)).astype(int) - 1]
    country = _zipf(rng, 80, n_users)[user]
    away = rng.random(n) < 0.03
    country = np.where(away, rng.integers(0, 80, n), country)
    city = 3 * country + (3 * rng.random(n_users)).astype(int)[user]
    weekday = rng.integers(0, 7, n)
    daytime = np.minimum(6, rng.poisson(3, n))
    of_true = {
        "user": user,
        "country": country,
        "city": city,
        "weekday": weekday,
        "weekend": (weekday >= 5).astype(int),
        "daytime": daytime,
        "at_work": np.where((weekday < 5) & (daytime == 3), 1, 2 * (rng.random(n) < 0.2)),
        "weather": (9 * rng.random(n) ** 2).astype(int),
    }
    ids = {name: np.tile(values, 3) for name, values in of_true.items()}
    ids["app"] = np.concatenate([app, rng.integers(0, n_apps, 2 * n)])
    ids["paid"] = (np.random.default_rng(1).random(n_apps) < 0.15).astype(int)[ids["app"]]
    label = np.repeat([1, 0, 0], n)
    order = rng.permutation(3 * n)
    columns = {name: _named(name, values[order]) for name, values in ids.items()}
    return _task("apps", "logistic", columns, label[order], list(columns))


def tags(n_rows: int) -> Task:
    """A list of ten ids of 5,000 a row, and 2 % positives."""
    rng = np.random.default_rng(28)
    ids = np.stack([_zipf(rng, 500, n_rows) + 500 * k for k in range(10)], axis=1)
    z = 0.6 * rng.normal(size=5_000)[ids].sum(axis=1)
    score = z + rng.logistic(size=n_rows)
    start = pa.array(10 * np.arange(n_rows + 1), pa.int32())
    columns = {"tags": pa.ListArray.from_arrays(start, _named("tag", ids.ravel()))}
    label = (score > np.quantile(score, 0.98)).astype(np.int64)
    return _task("tags", "logistic", columns, label, [])


def films(n_rows: int) -> Task:
    """Ratings of films by users; the title of a film repeats its id."""
    n = min(n_rows, 100_000)
    rng = np.random.default_rng(23)
    user, film = _zipf(rng, 610, n), _zipf(rng, 9_700, n)
    z = 3.5 + 0.45 * rng.normal(size=610)[user] + 0.5 * rng.normal(size=9_700)[film]
    rating = np.clip(np.round(2 * (z + 0.85 * rng.normal(size=n))) / 2, 0.5, 5)
    columns = {"user": _named("user", user), "film": _named("film", film)}
    columns |= {"title": _named("title", film), "year": 1950 + (70 * rng.random(9_700))[film]}
    return _task("films", "squared", columns, rating, ["user", "film", "title"])


def faults(n_rows: int) -> Task:
    """Parts and machines most of which have no effect, and some a large one."""
    rng = np.random.default_rng(24)
    z = np.full(n_rows, -2.5)
    columns = {}
    for name, n_levels in (("part", 4_000), ("machine", 1_000), ("shift", 60)):
        level = _zipf(rng, n_levels, n_rows)
        z += np.where(rng.random(n_levels) < 0.05, 4 * rng.normal(size=n_levels), 0.0)[level]
        columns[name] = _named(name, level)
    label = (rng.logistic(size=n_rows) < z).astype(np.int64)
    return _task("faults", "logistic", columns, label, list(columns))


def claims(n_rows: int) -> Task:
    """Few claims, on which vehicles and regions have little effect."""
    rng = np.random.default_rng(25)
    age, power = rng.gamma(4, 12, n_rows), rng.poisson(6, n_rows)
    z = -2.2 - 0.008 * age + 0.05 * power
    columns = {"age": age, "power": power}
    for name, n_levels, spread in (("vehicle", 3_000, 0.15), ("region", 400, 0.1)):
        level = _zipf(rng, n_levels, n_rows)
        z += (spread * rng.normal(size=n_levels))[level]
        columns[name] = _named(name, level)
    label = rng.poisson(np.exp(z))
    return _task("claims", "poisson", columns, label, ["vehicle", "region"])


def lecturers(n_rows: int) -> Task:
    """Marks that students give to lecturers of departments."""
    n = min(n_rows, 75_000)
    rng = np.random.default_rng(26)
    student, lecturer = rng.integers(0, 3_000, n), _zipf(rng, 1_100, n)
    department = (lecturer * 7) % 14
    z = 0.33 * rng.normal(size=3_000)[student] + 0.5 * rng.normal(size=1_100)[lecturer]
    mark = np.clip(np.round(3.2 + z + 1.2 * rng.normal(size=n)), 1, 5)
    ids = {"student": student, "lecturer": lecturer, "department": department}
    columns = {name: _named(name, values) for name, values in ids.items()}
    return _task("lecturers", "squared", columns, mark, list(ids))


def delays(n_rows: int) -> Task:
    """Whether flights are late, by airline, airports and weekday, whose effects are moderate."""
    rng = np.random.default_rng(27)
    z, columns = 0.4 * rng.normal(size=n_rows), {}
    for name, n_levels, spread in (
        ("airline", 18, 0.4),
        ("origin", 290, 0.35),
        ("target", 290, 0.2),
        ("flight", 6_000, 0.3),
        ("weekday", 7, 0.1),
    ):
        level = _zipf(rng, n_levels, n_rows)
        z += (spread * rng.normal(size=n_levels))[level]
        columns[name] = _named(name, level)
    label = (rng.logistic(size=n_rows) < z).astype(np.int64)
    return _task("delays", "logistic", columns, label, list(columns))


def id_tasks() -> Iterator[tuple[str, Maker]]:
    """Yield names and makers of all of them."""
    for make in (payments, apps, tags, films, faults, claims, lecturers, delays):
        yield f"ids: {make.__name__}", partial(make)


def _zipf(rng: np.random.Generator, n_levels: int, n: int) -> np.ndarray:
    """Levels of which the k-th occurs about 1 / k times as often as the first, in random order."""
    level = np.minimum((n_levels ** rng.random(n)).astype(int), n_levels) - 1
    return rng.permutation(n_levels)[level]


def _named(name: str, level: np.ndarray) -> pa.Array:
    return pa.array([f"{name} {i}" for i in range(level.max() + 1)]).take(pa.array(level))


def _task(
    name: str, loss: str, columns: Mapping[str, object], label: np.ndarray, ids: list[str]
) -> Task:
    table, cut = pa.table(dict(columns) | {LABEL: label}), int(0.8 * len(label))
    job: dict[str, object] = {"loss": loss}
    if ids:
        job["categorical"] = ids
    return Task(f"ids: {name}", loss, table.slice(0, cut), table.slice(cut), job, kind="ids")
