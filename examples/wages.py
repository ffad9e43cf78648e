"""Make a lake of wages: people who are seen once a year, at firms that differ.

``python examples/wages.py LAKE [PEOPLE]`` writes a file a year, 2016 to 2023, with about 0.8 rows
for each person and year. The same arguments make the same lake. Wages of a firm, and of a person,
depend on each other, and their spread grows with schooling, so errors that take rows as independent
and alike are too small.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

YEARS = range(2016, 2024)
REGIONS = ("centre", "east", "north", "south", "west")
CUTS = (-1.6, -0.5, 0.7, 2.2)
"""Thresholds of satisfaction, on the scale of the logistic noise."""


def lake(folder: Path, people: int = 4_000, seed: int = 20) -> None:
    """Write the years of one panel into a folder each."""
    random = np.random.default_rng(seed)
    firms = max(people // 20, 5)
    firm_effect = random.normal(0, 0.15, firms)
    pays_training = random.random(firms) < 0.4  # a firm's policy: no error by rows knows it
    region_of = random.integers(0, len(REGIONS), firms)
    schooling = random.integers(9, 20, people)
    female = random.random(people) < 0.48
    born = random.integers(1955, 1996, people)
    person_effect = random.normal(0, 0.2, people)
    firm = random.integers(0, firms, people)
    for year in YEARS:
        moves = random.random(people) < 0.1
        firm = np.where(moves, random.integers(0, firms, people), firm)
        seen = np.flatnonzero(random.random(people) < 0.8)
        of, age = firm[seen], year - born[seen]
        union = random.random(len(seen)) < 0.3
        training = pays_training[of]
        experience = np.maximum(age - schooling[seen] - 6, 0)
        noise = random.normal(0, 0.1 + 0.015 * (schooling[seen] - 9))
        log_wage = (
            1.2
            + 0.08 * schooling[seen]
            + 0.03 * experience
            - 0.0004 * experience**2
            - 0.12 * female[seen]
            + 0.06 * union
            + 0.04 * training
            + 0.02 * (year - 2016)
            + np.array([0.15, 0.0, 0.03, -0.05, 0.08])[region_of[of]]
            + firm_effect[of]
            + person_effect[seen]
            + noise
        )
        liking = 0.8 * (log_wage - 3) + 0.3 * union + 2 * firm_effect[of]
        feeling = liking + random.logistic(size=len(seen))
        leaving = -2.2 - 0.5 * union - 0.04 * (age - 40) - 3 * firm_effect[of]
        courses = np.exp(-0.8 + 0.05 * (schooling[seen] - 13) + 0.9 * training + firm_effect[of])
        table = pa.table(
            {
                "person": seen.astype(np.int64),
                "firm": [f"f{one:05d}" for one in of],
                "employer": [f"e{one:05d}" for one in of],  # the same, to be a feature beside it
                "region": [REGIONS[one] for one in region_of[of]],
                "schooling": schooling[seen].astype(np.int32),
                "experience": experience.astype(np.int32),
                "experience2": (experience**2).astype(np.int32),
                "female": female[seen],
                "union": union,
                "training": training,
                "log_wage": log_wage,
                "satisfaction": (1 + np.searchsorted(CUTS, feeling)).astype(np.int8),
                "left": random.random(len(seen)) < 1 / (1 + np.exp(-leaving)),
                "courses": random.poisson(courses).astype(np.int32),
                "survey_weight": np.round(random.uniform(0.5, 2.0, len(seen)), 2),
            }
        )
        place = folder / f"year={year}"
        place.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, place / "part-0.parquet")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    lake(Path(sys.argv[1]), *map(int, sys.argv[2:3]))
