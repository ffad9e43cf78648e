"""Write a lake of generated loans, of which 0.8 % default: `python examples/loans.py DIR`.

One Parquet file for each month. `docs/credit.md` uses it. The truth is logistic in the margin
below, with an effect for each merchant, so that models can be compared with it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

MONTHS = 18
HELD_OUT = 3
ROWS = 20_000
MERCHANTS = 3_000
CHANNELS = ["branch", "broker", "online"]
PURPOSES = ["car", "home", "other", "refinance"]


def month(number: int, merchants: np.ndarray) -> pa.Table:
    """Return the loans of one month, always the same ones."""
    rng = np.random.default_rng([8, number])
    utilisation = rng.beta(1.3, 2.2, ROWS)
    income = np.exp(rng.normal(10.4, 0.5, ROWS))
    age = rng.uniform(19, 75, ROWS)
    debt = income * rng.gamma(2.0, 0.12, ROWS)
    inquiries = rng.poisson(0.8, ROWS)
    tenure = np.where(rng.random(ROWS) < 0.1, np.nan, rng.exponential(60, ROWS))
    channel = rng.choice(3, ROWS, p=[0.35, 0.2, 0.45])
    purpose = rng.choice(4, ROWS, p=[0.3, 0.25, 0.25, 0.2])
    merchant = (rng.zipf(1.3, ROWS) - 1) % MERCHANTS
    margin = (
        -5.55
        + 2.2 * np.maximum(utilisation - 0.3, 0)
        - 0.5 * (np.log(income) - 10.4)
        - 0.015 * (age - 45)
        + 0.35 * inquiries
        + 0.8 * np.minimum(debt / income, 1)
        - 0.004 * np.nan_to_num(np.minimum(tenure, 120), nan=0)
        + np.array([0.0, 0.5, 0.2])[channel]
        + np.array([0.0, -0.3, 0.1, 0.25])[purpose]
        + merchants[merchant]
    )
    return pa.table(
        {
            "default": rng.random(ROWS) < 1 / (1 + np.exp(-margin)),
            "utilisation": utilisation.round(3),
            "income": income.round(-2),
            "age": age.round(0),
            "debt": debt.round(-2),
            "inquiries": inquiries.astype(np.int32),
            "tenure": pa.array(tenure.round(0), from_pandas=True),
            "channel": pa.array(CHANNELS).take(pa.array(channel)),
            "purpose": pa.array(PURPOSES).take(pa.array(purpose)),
            "merchant": pa.array([f"m{code:05d}" for code in merchant]),
            "loan": np.arange(ROWS) + number * ROWS,
        }
    )


def main(directory: str) -> None:
    """Write `loans` (the months to learn) and `recent` (the last ones) into a directory."""
    merchants = np.random.default_rng(8).normal(0, 0.6, MERCHANTS)
    for number in range(MONTHS):
        lake = "loans" if number < MONTHS - HELD_OUT else "recent"
        place = Path(directory) / lake / f"month={2025 + number // 12}-{number % 12 + 1:02d}"
        place.mkdir(parents=True, exist_ok=True)
        table = month(number, merchants)
        pq.write_table(table, place / "loans.parquet")
        print(f"{lake} {place.name}: {table.num_rows:,} loans, {defaults(table):,} defaults")


def defaults(table: pa.Table) -> int:
    """Count the defaults."""
    return int(table["default"].to_numpy().sum())


if __name__ == "__main__":
    main(sys.argv[1])
