"""Columns of every kind, rows that have them, and encoders and weights for them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from onepass.block import Linear
from onepass.encode.encoder import Encoder
from onepass.encode.scalar_kinds import Bool, Hashed, Numeric, OneHot, Time
from onepass.encode.schema import Label, Schema
from onepass.encode.shapes import Bins, Cross, Product, Spline

NUMBERS = [
    Numeric(name="plain", center=1.5, scale=3.0, missing=False),
    Numeric(name="whole", center=-2.0, scale=0.5, missing=True),
    Numeric(name="small", center=0.0, scale=1.0, missing=False),
]
DAY = Numeric(name="day", center=3.0, scale=2.0, missing=True)
COLUMNS = {
    "numbers": NUMBERS,
    "truths": [Bool(name="truth", missing=True)],
    "times": [
        Time(
            name="time",
            center=1.7e9,
            scale=1e6,
            parts=["trend", "hour", "weekday", "year"],
            missing=True,
        )
    ],
    "levels": [
        OneHot(name="level", family="text", levels=["b", "a"], missing=True),
        OneHot(name="digit", family="integer", levels=["1"], missing=False),
        OneHot(name="code", family="text", levels=["z", "b", "c"], missing=True),
    ],
    "hashed": [
        Hashed(name="coded", family="text"),
        Hashed(name="text", family="text"),
        Hashed(name="number", family="integer"),
    ],
    "curves": [
        Spline(number=NUMBERS[0], knots=[-1.5, 0, 0.1, 2], center=[0.1, 0, 0.2], scale=[1, 2, 3]),
        Bins(number=NUMBERS[1], edges=[-3, 0, 4]),
        Spline(number=NUMBERS[2], knots=[1, 2, 5], degree="linear", center=[0, 1], scale=[2, 1]),
        Product(numbers=NUMBERS, center=0.5, scale=2.0),
        Spline(number=DAY, knots=[1, 2, 5], center=[0, 1], scale=[2, 1]),
    ],
    "crosses": [
        Cross(
            name="level*coded*truth",
            parts=[
                Hashed(name="level", family="text"),
                Hashed(name="coded", family="text"),
                Hashed(name="truth", family="bool"),
            ],
        ),
        Cross(
            name="text*small",
            parts=[Hashed(name="text", family="text"), Bins(number=NUMBERS[2], edges=[2, 7])],
        ),
        Cross(
            name="shard*number*place",
            parts=[
                Hashed(name="shard", family="integer"),
                Hashed(name="number", family="integer", whole=True),
                Hashed(name="place", family="text"),
            ],
        ),
        Cross(name="code*whole", parts=[Hashed(name="code", family="text")], numbers=NUMBERS[1:2]),
        Cross(
            name="shard*day*plain",
            parts=[Hashed(name="shard", family="integer")],
            numbers=[DAY, NUMBERS[0]],
        ),
    ],
    "folders": [
        DAY,
        OneHot(name="place", family="text", levels=["x", "y"], missing=True),
        Hashed(name="shard", family="integer"),
    ],
}
HIVE = {"day": "integer", "place": "text", "shard": "integer"}
FOLDERS = {"day": "7", "place": "y", "shard": "12"}
N_ROWS = 3000


def rows(n=N_ROWS, seed=1):
    """Rows with every kind of column, some of them null, and with a label and a weight."""
    rng = np.random.default_rng(seed)

    def some(values, kind=None):
        return pa.array(values, kind, mask=rng.random(n) < 0.1)

    texts = [f"value {i}" for i in rng.integers(0, 50, n)]
    plain = rng.normal(size=n).astype(np.float32)
    plain[:3] = [np.nan, np.inf, -np.inf][:n]
    return pa.table(
        {
            "plain": pa.array(plain),
            "whole": some(rng.integers(-9, 9, n)),
            "small": some(rng.integers(0, 9, n), pa.int8()),
            "truth": some(rng.random(n) < 0.3),
            "time": some(rng.integers(0, 2**31, n), pa.timestamp("s")),
            "level": some(rng.choice(["a", "b", "c"], n)),
            "digit": some(rng.integers(0, 3, n)),
            "code": some(rng.choice(["z", "a", "b", "c"], n)).dictionary_encode(),
            "coded": some(texts).dictionary_encode(),
            "text": some(texts),
            "number": some(rng.integers(0, 9, n)),
            "y": some(rng.normal(size=n)),
            "w": pa.array(rng.random(n)),
        }
    )


def encoder(kinds, **options):
    """An encoder of some kinds of columns."""
    columns = [column for kind in kinds for column in COLUMNS[kind]]
    named = {name for column in columns for name in column.source_names}
    hive = {name: kind for name, kind in HIVE.items() if name in named}
    schema = Schema(columns=columns, label=Label(name="y"), weight="w", hash_bits=8, hive=hive)
    return Encoder(schema, **options)


def linear(schema, n_outputs, seed=2):
    """Random weights for the features of a schema."""
    rng = np.random.default_rng(seed)
    n_slots = schema.n_slots
    return Linear(
        rng.normal(size=n_outputs),
        rng.normal(size=(n_outputs, schema.n_dense)),
        rng.normal(size=(n_slots, n_outputs)),
    )
