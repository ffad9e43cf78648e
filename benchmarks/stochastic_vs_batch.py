"""What does the batch way cost per unit of loss? Draw loss against rows read on one lake.

    python benchmarks/stochastic_vs_batch.py [LAKE --label COLUMN [--exclude COLUMNS]] [--out PNG]

One pass of sgd, adagrad and newton, measured on the whole lake after commits, against passes of
batch gradient descent, L-BFGS and Newton that start where sgd starts. The lake must do with numbers
and short categories; the sample lake by default.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from onepass import evaluate, plan, refine, train, train_pending
from onepass.model.directory import open_model

SAMPLES = Path(__file__).parent.parent / "data_samples/deliveries"
PASSES = {"gradient_descent": 40, "lbfgs": 25, "newton": 6}
LABELS = {"gradient_descent": "batch gradient descent", "lbfgs": "L-BFGS", "newton": "Newton"}

Curve = tuple[list[float], list[float]]


def one_pass(job: dict, folder: Path, solver: str, **options: object) -> Curve:
    """Rows read and mean loss on the whole lake, after each commit."""
    given = job | {"solver": solver, "model": str(folder / solver)} | options
    plan(given)
    rows, losses, left = [0.0], [float("nan")], 1
    while left:
        report = train_pending({"model": given["model"]}, max_seconds=0)
        left = report.pending
        rows.append(rows[-1] + report.rows)
        losses.append(evaluate(job["lake"], given["model"]).loss)
    return rows, losses


def batch(job: dict, folder: Path, rule: str) -> Curve:
    """Rows read and mean loss of passes that start from weights of zero."""
    model = str(folder / f"batch-{rule}")
    # A rate that moves nothing: the ledger knows the rows, the weights stay at zero.
    train(job | {"solver": "sgd", "learning_rate": 1e-12, "model": model})
    report = refine({"model": model}, n_passes=PASSES[rule], rule=rule)
    # What a pass finds is known when its rows have been read.
    rows = [float(report.rows) * (i + 1) for i in range(len(report.losses))]
    return rows, report.losses


def optimum(job: dict, folder: Path) -> float:
    """Mean loss of the batch optimum."""
    model = str(folder / "optimum")
    train(job | {"model": model})
    refine({"model": model}, n_passes=30, rule="newton")
    return evaluate(job["lake"], model).loss


def draw(curves: dict[str, Curve], best: float, constant: float, out: Path, title: str) -> None:
    """Excess over the optimum against rows read, both logarithmic."""
    figure, axes = plt.subplots(figsize=(8, 5))
    for name, (rows, losses) in curves.items():
        points = [
            (n, 100 * (loss / best - 1)) for n, loss in zip(rows, losses, strict=True) if n > 0
        ]
        style = "-" if "one pass" in name else "--o"
        axes.plot(*zip(*points, strict=True), style, label=name, markersize=3, linewidth=1.5)
    axes.axhline(100 * (constant / best - 1), color="grey", linewidth=0.8, label="best constant")
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="rows read",
        ylabel="loss on the lake, % above the batch optimum",
        title=title,
        ylim=(1e-4, None),
    )
    axes.legend()
    axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(out, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lake", nargs="?", default=str(SAMPLES))
    parser.add_argument("--label", default="late")
    parser.add_argument("--exclude", default="minutes,delivery_id,shop_id,courier")
    parser.add_argument("--out", default="stochastic_vs_batch.png")
    given = parser.parse_args()
    job = {"lake": given.lake, "label": given.label, "exclude": given.exclude, "clip": False}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        best = optimum(job, folder)
        if open_model(folder / "optimum").file.job.loss not in {"logistic", "softmax"}:
            parser.error("choose a label of classes: batch passes report losses on scaled labels")
        curves = {
            "sgd, one pass": one_pass(job, folder, "sgd"),
            "adagrad, one pass": one_pass(job, folder, "adagrad"),
            "newton, one pass": one_pass(job, folder, "newton"),
        }
        curves |= {LABELS[rule]: batch(job, folder, rule) for rule in PASSES}
        constant = evaluate(job["lake"], str(folder / "optimum")).metrics["constant_loss"]
    draw(curves, best, constant or best, Path(given.out), f"{Path(given.lake).name}: {given.label}")
    print(f"optimum {best:.8g}, best constant {constant:.8g}; drawn to {given.out}")
    print("| rule | rows read | excess at the end, % | rows until 1 % | until 0.1 % |")
    print("|---|---|---|---|---|")
    for label, (rows, losses) in curves.items():
        excess = [100 * (loss / best - 1) for loss in losses]
        reached = [
            next((f"{n:,.0f}" for n, e in zip(rows, excess, strict=True) if e <= limit), "-")
            for limit in (1.0, 0.1)
        ]
        print(f"| {label} | {rows[-1]:,.0f} | {excess[-1]:.4f} | {' | '.join(reached)} |")


if __name__ == "__main__":
    main()
