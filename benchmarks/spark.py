"""Spark ML's linear models on a lake of numbers, with all memory and processor time of the JVM."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from lakes import LABEL, Shape, files, holdout
from processes import cpu_seconds, peak_bytes_of

MEMORY = "6g"
"""Heap of the JVM. Spark caches the rows as blocks of doubles, 240 bytes for a row of 30 columns,
and spills what does not fit to the disk."""


def spark(found: Path, shape: Shape, model: str = "logistic", cores: int = 2) -> dict[str, Any]:
    """Fit at Spark's defaults: 100 iterations at most, standardised columns, no penalty.

    The seconds begin when Spark is up, and end when the fit ends. Figures of the process count the
    JVM from its start.
    """
    from pyspark.ml.classification import LogisticRegression
    from pyspark.ml.feature import VectorAssembler
    from pyspark.ml.regression import LinearRegression

    session = local_session(found.parent / "spark", cores)
    java = session.sparkContext._gateway.proc.pid
    try:
        together = VectorAssembler(inputCols=shape.features, outputCol="features")
        make = {"logistic": LogisticRegression, "linear": LinearRegression}[model]
        begun, began = cpu_seconds(java), time.perf_counter()
        rows = session.read.parquet(*map(str, files(found)))
        fitted = make(featuresCol="features", labelCol=LABEL).fit(together.transform(rows))
        seconds = time.perf_counter() - began
        fit_cpu_seconds = cpu_seconds(java) - begun
        result = {
            "rows": shape.rows,
            "seconds": seconds,
            "fit_cpu_seconds": fit_cpu_seconds,
            "iterations": _iterations(fitted),
        }
        if model == "logistic":
            kept = session.read.parquet(str(holdout(found.parent, shape)))
            result["holdout_loss"] = _log_loss(fitted.transform(together.transform(kept)))
        return result | {
            "other_cpu_seconds": cpu_seconds(java),
            "other_peak_bytes": peak_bytes_of(java),
        }
    finally:
        session.stop()


def local_session(scratch: Path, cores: int, memory: str = MEMORY) -> Any:
    """Start Spark in this machine alone, with a heap of so much memory."""
    from pyspark.sql import SparkSession

    return (
        SparkSession.builder.master(f"local[{cores}]")
        .config("spark.driver.memory", memory)
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.local.dir", str(scratch))
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .getOrCreate()
    )


def _iterations(fitted: Any) -> int:
    # Linear regression without a penalty solves normal equations, without iterations.
    return int(getattr(fitted.summary, "totalIterations", 0) or 0)


def _log_loss(predicted: Any) -> float:
    from pyspark.ml.functions import vector_to_array
    from pyspark.sql import functions as f

    of_one = vector_to_array("probability")[1]
    of_label = f.when(f.col(LABEL) == 1, of_one).otherwise(1 - of_one)
    return float(predicted.select(f.avg(-f.log(of_label))).first()[0])
