"""One contender of `speed.py` in a process of its own: prints rows and seconds as a line of JSON.

python benchmarks/contenders.py NAME LAKE_FOLDER SHAPE_JSON [OPTIONS_JSON]
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from spark import spark

from lakes import LABEL, Shape, files, holdout, lake

BATCH_ROWS = 65_536
HASH_BITS = 22

Result = dict[str, Any]


def coded_texts(file: Path, shape: Shape) -> list[str]:
    """Text columns that are stored as codes; reading the others as dictionaries is slower."""
    group = pq.read_metadata(file).row_group(0)
    chunks = [group.column(i) for i in range(group.num_columns)]
    return [
        chunk.path_in_schema
        for chunk in chunks
        if chunk.path_in_schema in shape.texts
        and chunk.total_uncompressed_size < 4 * chunk.num_values
    ]


def scan(found: Path, shape: Shape, way: str) -> Result:
    """pyarrow alone on all cores: `slices` of row groups or whole `groups` side by side, or one row
    group after another by its own `threads`."""
    groups = [
        (file, g) for file in files(found) for g in range(pq.read_metadata(file).num_row_groups)
    ]
    texts = coded_texts(groups[0][0], shape)
    alone = way == "threads"

    def read(place: tuple[Path, int]) -> int:
        file, group = place
        options = {"pre_buffer": False, "buffer_size": 1 << 20}
        with pq.ParquetFile(file, read_dictionary=texts, **options) as source:
            if way == "slices":
                batches = source.iter_batches(BATCH_ROWS, row_groups=[group], use_threads=False)
                return sum(batch.num_rows for batch in batches)
            return source.read_row_group(group, use_threads=alone).num_rows

    with ThreadPoolExecutor(1 if alone else os.cpu_count()) as pool:
        began = time.perf_counter()
        rows = sum(pool.map(read, groups))
        return {"rows": rows, "seconds": time.perf_counter() - began}


def onepass(found: Path, shape: Shape, **options: Any) -> Result:
    """Train a new model; its creation, which looks at a sample, is told apart."""
    from onepass import evaluate, plan, train

    # Where it runs, which a model does not keep.
    where = {"dask": options.pop("dask")} if "dask" in options else {}
    with tempfile.TemporaryDirectory(dir=found.parent) as folder:
        job = {"lake": str(found), "label": LABEL, "model": f"{folder}/model", **options}
        if shape.texts:
            job["hash_bits"] = HASH_BITS
        began = time.perf_counter()
        plan(job)
        planned, used = time.perf_counter(), time.process_time()
        report = train({"model": job["model"], **where})
        seconds = time.perf_counter() - planned
        learning = time.process_time() - used
        cpu, peak = cpu_and_peak()
        kept = evaluate(str(holdout(found.parent, shape)), job["model"])
    return {
        "rows": report.rows,
        "seconds": seconds,
        "creation_seconds": planned - began,
        "loss": report.loss,
        "holdout_loss": kept.loss,
        "train_cpu_seconds": learning,
        # Without the evaluation.
        "cpu_seconds": cpu,
        "peak_bytes": peak,
    }


def onepass_evaluate(found: Path, shape: Shape, **options: Any) -> Result:
    """Judge a model, that was trained on the first file, on the whole lake."""
    return _use_model(found, shape, options, lambda model, folder: _evaluate(found, model))


def onepass_score(found: Path, shape: Shape, **options: Any) -> Result:
    """Predict every row of the lake with a model that was trained on its first file."""
    return _use_model(found, shape, options, lambda model, folder: _score(found, model, folder))


def _use_model(
    found: Path, shape: Shape, options: dict[str, Any], use: Callable[[str, str], int]
) -> Result:
    from onepass import train

    with tempfile.TemporaryDirectory(dir=found.parent) as folder:
        model = f"{folder}/model"
        job = {"lake": str(files(found)[0]), "label": LABEL, "model": model, **options}
        train(job | ({"hash_bits": HASH_BITS} if shape.texts else {}))
        began = time.perf_counter()
        rows = use(model, folder)
        return {"rows": rows, "seconds": time.perf_counter() - began}


def _evaluate(found: Path, model: str) -> int:
    from onepass import evaluate

    return evaluate(str(found), model).rows


def _score(found: Path, model: str, folder: str) -> int:
    from onepass import score

    return score(str(found), model, f"{folder}/out").rows


def vowpal_wabbit(found: Path, shape: Shape, source: str) -> Result:
    """One pass of the default solver over text, or over its own cache of that text."""
    from vowpalwabbit import Workspace

    text, cache = found / "vw.txt", found / "vw.cache"
    if not text.exists():
        _write_text(found, shape, text)
    bits = HASH_BITS if shape.texts else 18
    flags = f"--quiet --loss_function logistic -b {bits}"
    if source == "cache" and not cache.exists():
        Workspace(f"{flags} -d {text} --cache_file {cache}").finish()
    began = time.perf_counter()
    # With a cache that is there, the text is not read.
    given = f"--cache_file {cache}" if source == "cache" else ""
    Workspace(f"{flags} -d {text} {given}").finish()
    return {"rows": shape.rows, "seconds": time.perf_counter() - began}


def _write_text(found: Path, shape: Shape, text: Path) -> None:
    staged = text.with_suffix(".tmp")
    with open(staged, "wb") as sink:
        for batch in _batches(found, [LABEL, *shape.features]):
            sign = pc.if_else(pc.equal(batch[LABEL], 1), "1 |", "-1 |")
            parts = [_vw_values(name, batch[name]) for name in shape.features]
            lines = pc.binary_join_element_wise(sign, *parts, " ")
            sink.write("\n".join(lines.to_pylist()).encode() + b"\n")
    staged.rename(text)


def _vw_values(name: str, values: pa.Array) -> pa.Array:
    is_text = pa.types.is_string(values.type)
    tied = pc.binary_join_element_wise(name, pc.cast(values, pa.string()), "=" if is_text else ":")
    return pc.fill_null(tied, f"{name}_null")


def sklearn_sgd(found: Path, shape: Shape) -> Result:
    """`partial_fit` over batches as pyarrow gives them."""
    from sklearn.linear_model import SGDClassifier

    model, rows = SGDClassifier(loss="log_loss"), 0
    began = time.perf_counter()
    for batch in _batches(found, [LABEL, *shape.features]):
        x = _sparse(batch, shape) if shape.texts else _matrix(batch, shape)
        model.partial_fit(x, batch[LABEL].to_numpy(), classes=[0, 1])
        rows += batch.num_rows
    return {"rows": rows, "seconds": time.perf_counter() - began}


def _matrix(batch: pa.RecordBatch, shape: Shape) -> np.ndarray:
    return np.column_stack([batch[name].to_numpy() for name in shape.features])


def _sparse(batch: pa.RecordBatch, shape: Shape) -> Any:
    from sklearn.feature_extraction import FeatureHasher

    texts = [
        pc.fill_null(pc.binary_join_element_wise(name, batch[name], "="), f"{name}=")
        for name in shape.texts
    ]
    hasher = FeatureHasher(1 << HASH_BITS, input_type="string", alternate_sign=False)
    return hasher.transform(zip(*(column.to_pylist() for column in texts), strict=True))


def dask_ml(found: Path, shape: Shape) -> Result:
    """`Incremental` around the same SGD, over a Dask array of the lake."""
    import dask.dataframe as dd
    from dask_ml.wrappers import Incremental
    from sklearn.linear_model import SGDClassifier

    began = time.perf_counter()
    frame = dd.read_parquet(str(found / "*.parquet"), columns=[LABEL, *shape.features])
    x = frame[shape.features].values.compute_chunk_sizes()
    y = frame[LABEL].values.compute_chunk_sizes()
    Incremental(SGDClassifier(loss="log_loss")).fit(x, y, classes=[0, 1])
    return {"rows": shape.rows, "seconds": time.perf_counter() - began}


def river(found: Path, shape: Shape) -> Result:
    """`learn_many` over small frames, which is the faster of its two ways."""
    from river.linear_model import LogisticRegression

    model, rows = LogisticRegression(), 0
    began = time.perf_counter()
    for batch in _batches(found, [LABEL, *shape.features], 1000):
        frame = batch.to_pandas()
        model.learn_many(frame[shape.features].astype(float), frame[LABEL])
        rows += batch.num_rows
    return {"rows": rows, "seconds": time.perf_counter() - began}


def _batches(found: Path, columns: list[str], rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
    for file in files(found):
        yield from pq.ParquetFile(file).iter_batches(rows, columns=columns)


CONTENDERS: dict[str, Callable[..., Result]] = {
    "scan": scan,
    "onepass": onepass,
    "evaluate": onepass_evaluate,
    "score": onepass_score,
    "vw": vowpal_wabbit,
    "sklearn": sklearn_sgd,
    "dask-ml": dask_ml,
    "river": river,
    "spark": spark,
}


def peak_bytes() -> int:
    """Highest resident memory of this process."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def cpu_and_peak() -> tuple[float, int]:
    """Processor time of this process until now, and its highest resident memory."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime, peak_bytes()


def main() -> None:
    """Run the contender that the command line names."""
    name, folder, shape_json, *rest = sys.argv[1:]
    shape = Shape(**json.loads(shape_json))
    found = lake(Path(folder), shape)
    options = json.loads(rest[0]) if rest else {}
    result = CONTENDERS[name](found, shape, **options)
    cpu, peak = cpu_and_peak()
    result = {"cpu_seconds": cpu, "peak_bytes": peak} | result
    # A contender in several processes counts all of them.
    result["cpu_seconds"] += result.get("other_cpu_seconds", 0.0)
    result["peak_bytes"] += result.get("other_peak_bytes", 0)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
