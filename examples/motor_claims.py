"""Write a lake of motor third-party claims: one file a year, one row a policy and year.

The book is invented, and the same at every run. A driver has a propensity to claim of his own,
which no column shows but the bonus-malus: as in France, a year without claims multiplies it by
0.95, and each claim by 1.25. Run it from anywhere: ``python examples/motor_claims.py FOLDER``
writes ``FOLDER/lake``, the years 2021 to 2023, and ``FOLDER/holdout``, the year 2024.
``docs/actuary.md`` prices them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

FIRST_YEAR, N_YEARS = 2021, 4
BURN_IN = 6
"""Years before the first file, in which the bonus-malus comes to tell drivers apart."""

CLASSES = ("city", "compact", "family", "suv", "sport", "van")
CLASS_SHARES = (0.22, 0.3, 0.24, 0.12, 0.04, 0.08)
CLASS_FREQUENCY = (-0.1, 0.0, 0.05, 0.12, 0.4, 0.25)
CLASS_SEVERITY = (-0.15, 0.0, 0.0, 0.2, 0.3, 0.1)
REGIONS = ("Bretagne", "Centre", "Ile-de-France", "Occitanie", "Provence", "Grand Est")
REGION_SHARES = (0.14, 0.26, 0.2, 0.15, 0.15, 0.1)
REGION_FREQUENCY = (-0.15, 0.0, 0.3, 0.05, 0.25, -0.05)
OVERDISPERSION = 0.5
"""Variance of a driver's propensity, whose mean is 1."""
SEVERITY_SHAPE = 1.25


class Book:
    """The drivers, who age and claim from year to year."""

    def __init__(self, n_policies: int, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.vehicle = self.random.choice(len(CLASSES), n_policies, p=CLASS_SHARES)
        self.region = self.random.choice(len(REGIONS), n_policies, p=REGION_SHARES)
        self.age = 18 + (self.random.beta(1.6, 2.2, n_policies) * 62).astype(int)
        self.vehicle_age = self.random.integers(0, 16, n_policies)
        shape = 1 / OVERDISPERSION
        self.propensity = self.random.gamma(shape, OVERDISPERSION, n_policies)
        self.bonus_malus = np.maximum(100 * 0.95 ** np.minimum(self.age - 18, 13), 50).round()

    def frequency(self) -> np.ndarray:
        """Return the claims expected in a year of each driver."""
        young = 1.0 * np.exp(-(self.age - 18) / 6)
        old = 0.4 * np.maximum(self.age - 65, 0) / 15
        rate = -2.7 + young + old + 0.01 * self.vehicle_age
        rate += np.take(CLASS_FREQUENCY, self.vehicle) + np.take(REGION_FREQUENCY, self.region)
        return np.exp(rate) * self.propensity

    def cost(self, claims: np.ndarray) -> np.ndarray:
        """Return the cost of all claims of each driver, in euros."""
        mean = 1500 * np.exp(np.take(CLASS_SEVERITY, self.vehicle) - 0.015 * self.vehicle_age)
        mean *= np.where(self.age < 25, 1.2, 1.0)
        amounts = self.random.gamma(np.maximum(claims, 1) * SEVERITY_SHAPE, mean / SEVERITY_SHAPE)
        return np.where(claims > 0, amounts.round(2).clip(0.01), 0.0)

    def year(self) -> pa.Table:
        """Return the rows of a year, and let the drivers grow older."""
        n = len(self.age)
        days = np.where(self.random.random(n) < 0.6, 365, self.random.integers(15, 365, n))
        claims = self.random.poisson(self.frequency() * days / 365)
        cost = self.cost(claims)
        rows = {
            "policy": np.arange(n) + 100_000,
            "exposure": days / 365,
            "vehicle": pa.array(np.take(CLASSES, self.vehicle)),
            "region": pa.array(np.take(REGIONS, self.region)),
            "vehicle_age": self.vehicle_age.copy(),
            "driver_age": self.age.copy(),
            "bonus_malus": self.bonus_malus.astype(int),
            "log_bonus_malus": np.log(self.bonus_malus / 100),
            "claims": claims,
            "cost": cost,
            "cost_per_claim": pa.array(cost / np.maximum(claims, 1), mask=claims == 0),
            "cost_per_year": cost * 365 / days,
        }
        grown = np.where(claims > 0, self.bonus_malus * 1.25**claims, self.bonus_malus * 0.95)
        self.bonus_malus = np.clip(np.floor(grown), 50, 350)
        self.age = np.where(self.age < 85, self.age + 1, 85)
        self.vehicle_age = np.where(self.vehicle_age < 15, self.vehicle_age + 1, 0)
        kept = self.random.random(n) < 0.8
        return pa.table(rows).filter(pa.array(kept))


def write(folder: Path, n_policies: int = 60_000, seed: int = 7) -> None:
    """Write the years into the folder, all but the last one into its lake."""
    book = Book(n_policies, seed)
    for _ in range(BURN_IN):
        book.year()
    for at in range(N_YEARS):
        rows = book.year()
        below = folder / ("lake" if at < N_YEARS - 1 else "holdout")
        below.mkdir(parents=True, exist_ok=True)
        pq.write_table(rows, below / f"{FIRST_YEAR + at}.parquet")
        claims = int(rows["claims"].to_numpy().sum())
        print(f"{below.name}/{FIRST_YEAR + at}.parquet: {len(rows):,} rows, {claims:,} claims")


def main() -> None:
    """Write the lake and the holdout."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--policies", type=int, default=60_000)
    asked = parser.parse_args()
    write(asked.folder, asked.policies)


if __name__ == "__main__":
    main()
