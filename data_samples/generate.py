"""Write the sample lake: four weeks of deliveries to train on and five later days to test on.

All rows are synthetic. Every random draw comes from one seeded generator, and the files are written
day by day in a fixed layout, so the same seed gives the same bytes.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

FIRST_DAY = date(2026, 3, 2)
TRAIN_DAYS = 28
HOLDOUT_DAYS = 5
ROWS_BY_WEEKDAY = (2200, 2150, 2250, 2350, 2900, 3900, 3500)
TINY_DAYS = {8: 40, 16: 63, 24: 110}
SPLIT_DAYS = frozenset({12, 20})
EMPTY_FILE_DAY = 3

SHOPS = 300
COURIERS = 2500
VEHICLES = np.array(["bike", "scooter", "car", "van", "cargo_bike"])
VEHICLE_SHARE = (0.36, 0.30, 0.22, 0.11, 0.01)
VEHICLE_MINUTES = np.array([3.0, -2.5, 0.5, 5.0, 8.0])
ZONES = np.array(
    [
        "abbey",
        "canal",
        "castle",
        "dockside",
        "eastgate",
        "forum",
        "harbour",
        "hillside",
        "market",
        "northfield",
        "riverside",
        "stadium",
    ]
)
ZONE_MINUTES = np.array([-3.0, 1.5, 4.0, 5.5, -1.0, 0.0, 3.0, 6.0, -4.5, -2.0, 0.5, 2.0])
WEEKDAY_MINUTES = np.array([0.0, -0.5, -0.8, 0.2, 2.0, 3.5, 1.5])

BASE_MINUTES = 22.0
SHORTEST_MINUTES = 3.0
DRIFT_STEP_INVERSE = 2.5e8  # drift is a multiple of 4e-9, so that it compresses
APP_VERSION = "5.2.0"

SCHEMA = pa.schema(
    [
        ("delivery_id", pa.int64()),
        ("ordered_at", pa.timestamp("ms")),
        ("shop_id", pa.int32()),
        ("courier", pa.string()),
        ("vehicle", pa.string()),
        ("zone", pa.string()),
        ("distance_m", pa.float64()),
        ("weight_kg", pa.float32()),
        ("basket_value", pa.decimal128(9, 2)),
        ("rain_mm", pa.float32()),
        ("sensor_drift", pa.float64()),
        ("is_express", pa.bool_()),
        ("items", pa.uint8()),
        ("app_version", pa.string()),
        ("minutes", pa.float32()),
        ("late", pa.int8()),
    ]
)
DICTIONARY_COLUMNS = [
    field.name for field in SCHEMA if field.name not in {"delivery_id", "ordered_at", "is_express"}
]
DELTA_COLUMNS = {"delivery_id": "DELTA_BINARY_PACKED", "ordered_at": "DELTA_BINARY_PACKED"}

Columns = dict[str, np.ndarray]


@dataclass(frozen=True)
class World:
    """The shops and the couriers, which stay the same from day to day."""

    shop_ids: np.ndarray
    shop_share: np.ndarray
    shop_zone: np.ndarray
    shop_minutes: np.ndarray
    courier_names: np.ndarray
    courier_share: np.ndarray
    courier_vehicle: np.ndarray
    courier_minutes: np.ndarray


def make_world(rng: np.random.Generator) -> World:
    """Draw the shops and the couriers."""
    shop_weight = rng.gamma(1.2, size=SHOPS) + 0.05
    courier_weight = 1.0 / (np.arange(COURIERS) + 8.0) ** 0.85
    numbers = np.sort(rng.choice(90_000, COURIERS, replace=False)) + 10_000
    return World(
        shop_ids=rng.choice(9_000, SHOPS, replace=False).astype(np.int32) + 1_000,
        shop_share=shop_weight / shop_weight.sum(),
        shop_zone=rng.integers(len(ZONES), size=SHOPS),
        shop_minutes=rng.normal(0.0, 4.5, SHOPS),
        courier_names=rng.permutation(np.char.add("c", numbers.astype(str))),
        courier_share=courier_weight / courier_weight.sum(),
        courier_vehicle=rng.choice(len(VEHICLES), COURIERS, p=VEHICLE_SHARE),
        courier_minutes=rng.normal(0.0, 3.5, COURIERS),
    )


def rows_on(index: int, rng: np.random.Generator) -> int:
    """Draw the number of rows of a day, counted from `FIRST_DAY`."""
    weekday = (FIRST_DAY + timedelta(days=index)).weekday()
    usual = int(ROWS_BY_WEEKDAY[weekday] * rng.uniform(0.85, 1.15))
    return TINY_DAYS.get(index, usual)


def order_seconds(rows: int, rng: np.random.Generator) -> np.ndarray:
    """Draw sorted times of orders in seconds after midnight.

    There is a peak at lunch, one at dinner, and a few orders at all other times.
    """
    kind = rng.choice(3, rows, p=(0.38, 0.47, 0.15))
    centre = np.array([12.6, 19.2, 14.0])[kind]
    spread = np.array([1.5, 1.7, 6.0])[kind]
    hours = rng.normal(centre, spread) % 24.0
    return np.sort((hours * 3600.0).astype(np.int64) % 86_400)


def draw_people(rows: int, world: World, rng: np.random.Generator) -> Columns:
    """Draw indices of shop, courier, vehicle and zone.

    Most rows have the vehicle of their courier and the zone of their shop.
    """
    shop = rng.choice(SHOPS, rows, p=world.shop_share)
    courier = rng.choice(COURIERS, rows, p=world.courier_share)
    borrowed = rng.choice(len(VEHICLES), rows, p=VEHICLE_SHARE)
    elsewhere = rng.integers(len(ZONES), size=rows)
    return {
        "shop": shop,
        "courier": courier,
        "courier_null": rng.random(rows) < 0.01,
        "vehicle": np.where(rng.random(rows) < 0.8, world.courier_vehicle[courier], borrowed),
        "zone": np.where(rng.random(rows) < 0.6, world.shop_zone[shop], elsewhere),
    }


def draw_parcels(rows: int, rng: np.random.Generator) -> Columns:
    """Draw items, weight (kg), basket value, distance (m), sensor drift and express flag."""
    items = np.minimum(1 + rng.poisson(1.8, rows), 20)
    weight = 0.5 * items * rng.lognormal(0.0, 0.8, rows)
    basket = items * rng.lognormal(2.1, 0.5, rows)
    distance = rng.lognormal(np.log(2900.0), 0.6, rows)
    drift = rng.normal(3e-7, 1e-7, rows)
    return {
        "items": items,
        "weight": np.clip(np.round(weight, 1), 0.1, 30.0),
        "weight_null": rng.random(rows) < 0.08,
        "basket": np.round(basket * 20.0) / 20.0,
        "distance": np.clip(np.round(distance, -1), 150.0, 40_000.0),
        "drift": np.round(drift * DRIFT_STEP_INVERSE) / DRIFT_STEP_INVERSE,
        "express": rng.random(rows) < 0.22,
    }


def draw_rain(seconds: np.ndarray, rng: np.random.Generator) -> Columns:
    """Draw rain in mm: at most one shower a day, and some readings that are missing."""
    wet_day = rng.random() < 0.45
    middle, width, peak = rng.uniform(9, 21), rng.uniform(1.0, 3.5), rng.uniform(1.0, 6.0)
    shape = np.exp(-0.5 * ((seconds / 3600.0 - middle) / width) ** 2)
    amount = wet_day * peak * shape * rng.uniform(0.6, 1.4, len(seconds))
    return {"rain": np.round(amount, 1), "rain_null": rng.random(len(seconds)) < 0.03}


def daily_cycle(seconds: np.ndarray) -> np.ndarray:
    """Return the effect of the time of day, in minutes."""
    angle = 2.0 * np.pi * seconds / 86_400.0
    return 2.5 * np.sin(angle - 2.0) - 1.5 * np.cos(angle) + 1.8 * np.cos(2.0 * angle - 0.6)


def expected_minutes(day: Columns, weekday: int, world: World) -> np.ndarray:
    """Return the part of the duration that the features explain, in minutes."""
    two_wheels = np.isin(day["vehicle"], (0, 1, 4))
    return (
        BASE_MINUTES
        + 0.0026 * day["distance"]
        + np.where(day["weight_null"], 5.0, 0.35 * day["weight"])
        + day["rain"] * (1.1 + 0.5 * two_wheels)
        + 2e7 * (day["drift"] - 3e-7)
        + 0.5 * day["items"]
        - 6.0 * day["express"]
        + VEHICLE_MINUTES[day["vehicle"]]
        + ZONE_MINUTES[day["zone"]]
        + world.shop_minutes[day["shop"]]
        + world.courier_minutes[day["courier"]]
        + daily_cycle(day["seconds"])
        + WEEKDAY_MINUTES[weekday]
    )


def draw_labels(
    day: Columns, weekday: int, world: World, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw both labels, minutes and late.

    Late is drawn with a probability that depends on the expected minutes and on a small share of
    their noise, so it is no threshold on minutes.
    """
    expected = expected_minutes(day, weekday, world)
    luck = rng.normal(0.0, 1.0, len(expected))
    minutes = expected + luck * (4.6 + 0.0004 * day["distance"])
    promise = 0.17 * (expected - 34.0) + 1.4 * day["express"] - 0.008 * day["basket"]
    chance = 1.0 / (1.0 + np.exp(2.55 - promise - 0.35 * luck))
    late = rng.random(len(expected)) < chance
    return np.maximum(np.round(minutes, 1), SHORTEST_MINUTES), late


def draw_day(
    index: int, first_id: int, world: World, rng: np.random.Generator
) -> tuple[pa.Table, int]:
    """Return the table of one day, and the last delivery id in it."""
    when = FIRST_DAY + timedelta(days=index)
    rows = rows_on(index, rng)
    seconds = order_seconds(rows, rng)
    day: Columns = {"seconds": seconds}
    day |= draw_people(rows, world, rng) | draw_parcels(rows, rng) | draw_rain(seconds, rng)
    day["id"] = first_id + np.cumsum(rng.geometric(0.15, rows))
    day["minutes"], day["late"] = draw_labels(day, when.weekday(), world, rng)
    return to_table(day, when, world), int(day["id"][-1])


def to_table(day: Columns, when: date, world: World) -> pa.Table:
    """Return the columns of a day as an Arrow table with `SCHEMA`."""
    midnight = np.datetime64(when, "ms")
    values: dict[str, pa.Array] = {
        "delivery_id": pa.array(day["id"]),
        "ordered_at": pa.array(midnight + day["seconds"] * np.timedelta64(1000, "ms")),
        "shop_id": pa.array(world.shop_ids[day["shop"]]),
        "courier": pa.array(world.courier_names[day["courier"]], mask=day["courier_null"]),
        "vehicle": pa.array(VEHICLES[day["vehicle"]]),
        "zone": pa.array(ZONES[day["zone"]]),
        **measures(day),
        "app_version": pa.array([APP_VERSION] * len(day["id"])),
        "minutes": pa.array(day["minutes"].astype(np.float32)),
        "late": pa.array(day["late"].astype(np.int8)),
    }
    return pa.table(values, schema=SCHEMA)


def measures(day: Columns) -> dict[str, pa.Array]:
    """Return the measured columns as Arrow arrays."""
    return {
        "distance_m": pa.array(day["distance"]),
        "weight_kg": pa.array(day["weight"].astype(np.float32), mask=day["weight_null"]),
        "basket_value": pa.array(day["basket"]).cast(pa.decimal128(9, 2)),
        "rain_mm": pa.array(day["rain"].astype(np.float32), mask=day["rain_null"]),
        "sensor_drift": pa.array(day["drift"]),
        "is_express": pa.array(day["express"]),
        "items": pa.array(day["items"].astype(np.uint8)),
    }


def split_day(index: int, table: pa.Table) -> list[pa.Table]:
    """Return the tables of the files of one day, in order."""
    if index in SPLIT_DAYS:
        cut = table.num_rows * 3 // 5
        return [table.slice(0, cut), table.slice(cut)]
    if index == EMPTY_FILE_DAY:
        return [table, SCHEMA.empty_table()]
    return [table]


def write_file(table: pa.Table, path: Path, group_rows: int) -> None:
    """Write a Parquet file with row groups of `group_rows` rows."""
    pq.write_table(
        table,
        path,
        row_group_size=group_rows,
        compression="zstd",
        compression_level=12,
        use_dictionary=DICTIONARY_COLUMNS,
        column_encoding=DELTA_COLUMNS,
    )


def write_day(index: int, table: pa.Table, root: Path, rng: np.random.Generator) -> None:
    """Write the files of one day to its ``date=`` folder, with a drawn row group size each."""
    folder = root / f"date={FIRST_DAY + timedelta(days=index)}"
    folder.mkdir(parents=True, exist_ok=True)
    for part, piece in enumerate(split_day(index, table)):
        write_file(piece, folder / f"part-{part}.parquet", int(rng.integers(900, 1601)))


def generate(out: Path, seed: int) -> int:
    """Write both lakes under ``out`` and return the number of rows."""
    rng = np.random.default_rng(seed)
    world = make_world(rng)
    last_id, rows = 7_400_000_000, 0
    for index in range(TRAIN_DAYS + HOLDOUT_DAYS):
        name = "deliveries" if index < TRAIN_DAYS else "deliveries_holdout"
        table, last_id = draw_day(index, last_id, world, rng)
        write_day(index, table, out / name, rng)
        rows += table.num_rows
    return rows


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    here = Path(__file__).resolve().parent
    parser.add_argument("--out", type=Path, default=here, help="folder that gets both lakes")
    parser.add_argument("--seed", type=int, default=7)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    rows = generate(args.out, args.seed)
    print(f"wrote {rows} rows under {args.out}")


if __name__ == "__main__":
    main()
