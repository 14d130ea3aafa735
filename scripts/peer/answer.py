"""Every run of a finished scan again, by scikit-learn in float64.

Starts `KMeans(algorithm="lloyd", n_init=1)` from each run's `init_rows`, in float64 on the float32
rows, with the scan's tol and max_iter. Labels and n_iter have to be equal, the inertia to 1e-9 of
itself. Prints a line for every run that differs, with what differs, and a summary; exit code 1
where any does.

A run folder holds the labels of the best run of each k alone. Those of the others come from new
scans of one run a k, from the same first centroids, whose digests have to be those of `scan.json`:
equal digests mean equal labels, centroids, inertia and n_iter, bit for bit.
"""

import argparse
import json
import math
import multiprocessing
import os
import pathlib
import sys
import tempfile
import warnings

import kscan  # first: it sets the number of threads
import numpy as np
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning

# How far the inertia may be off: the peer adds it up in another order.
INERTIA = 1e-9
# Distances nearer than this share of them are within the rounding of the peer's formula, which takes
# products from squared norms.
NEAR_TIE = 1e-12
# Rows that are named, of those whose labels differ.
NAMED = 5

ROWS = None  # float64 [n, d], set before the processes are forked, which then share it


def models(document, data, rows, scratch):
    """Yields (run, labels i32 [n], centers f64 [k, d]) of all runs. Exits where one has another
    digest from the same first centroids."""
    config = document["config"]
    for init_id in range(config["n_init"]):
        runs = {run["k"]: run for run in document["runs"] if run["init_id"] == init_id}
        folder = scratch / f"init-{init_id}"
        init = scratch / f"init-{init_id}.npz"
        np.savez(init, **{f"k{k}": rows[run["init_rows"]] for k, run in runs.items()})
        again = kscan.scan(
            folder, data, "--init", init, "--n-init", 1, "--k-low", min(runs), "--k-high", max(runs),
            "--k-step", config["k_step"], "--scale", config["scale"],
            "--max-iter", config["max_iter"], "--tol", config["tol"],
        )  # fmt: skip
        for best in again["best"]:
            run = runs[best["k"]]
            if best["digest"] != run["digest"]:
                sys.exit(
                    f"{name(run)}: another digest from the same first centroids:"
                    " another kscan or other data?"
                )
            with np.load(folder / best["file"]) as model:
                yield run, model["labels"], model["centers"]


def name(run):
    return f"k = {run['k']}, init {run['init_id']}"


def compare(job):
    """Fits one run by scikit-learn. Returns (words for what differs, figures)."""
    run, labels, centers, max_iter, tol = job
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        peer = KMeans(
            run["k"], init=ROWS[run["init_rows"]], n_init=1, algorithm="lloyd", max_iter=max_iter,
            tol=tol,
        ).fit(ROWS)  # fmt: skip
    rows = np.flatnonzero(peer.labels_ != labels)
    inertia = abs(peer.inertia_ - run["inertia"]) / run["inertia"] if run["inertia"] else 0.0
    differs = []
    if peer.n_iter_ != run["n_iter"]:
        differs.append(f"n_iter {run['n_iter']}, not {peer.n_iter_}")
    if inertia > INERTIA:
        differs.append(f"inertia {run['inertia']!r}, not {peer.inertia_!r}, off by {inertia:.1e}")
    if len(rows):
        differs.append(f"{len(rows)} labels")
    for row in rows[:NAMED]:
        # To kscan's centroids, so exactly that a near-tie shows.
        own, other = (
            math.fsum((ROWS[row] - centers[label]) ** 2) for label in (labels[row], peer.labels_[row])
        )
        near = ", a near-tie" if abs(other - own) <= NEAR_TIE * own else ""
        differs.append(
            f"row {row}: {labels[row]} at squared distance {own!r},"
            f" not {peer.labels_[row]} at {other!r}{near}"
        )
    figures = {
        "labels": len(rows) == 0,
        "n_iter": peer.n_iter_ == run["n_iter"],
        "inertia": inertia,
        "centers": float(np.abs(peer.cluster_centers_ - centers).max()),
        "iterations": run["n_iter"],
    }
    return f"{name(run)}: {'; '.join(differs)}" if differs else None, figures


def main():
    global ROWS
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path, help="a finished scan")
    parser.add_argument("data", nargs="?", help="its data; by default what scan.json names")
    parser.add_argument("--n-proc", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    document = json.loads((options.folder / "scan.json").read_text())
    config = document["config"]
    data = options.data or config["data"]
    if document["status"] != "complete":
        parser.error("the scan is not finished: kscan-coord resume")
    if config["init"] not in ("k-means++", "random"):
        parser.error("the scan's first centroids are from a file: it has no init_rows")
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        rows = kscan.normalised(data, config["scale"], scratch)
        jobs = [
            (*model, config["max_iter"], config["tol"])
            for model in models(document, data, rows, scratch)
        ]
    ROWS = rows.astype(np.float64)
    found = []
    with multiprocessing.get_context("fork").Pool(options.n_proc) as pool:
        for words, figures in pool.imap(compare, jobs):
            found.append(figures)
            if words:
                print(words, flush=True)
            print(f"{len(found)} of {len(document['runs'])} runs", file=sys.stderr)
    print(
        f"{len(found)} runs, {sum(figures['iterations'] for figures in found)} iterations:"
        f" labels equal in {sum(figures['labels'] for figures in found)},"
        f" n_iter in {sum(figures['n_iter'] for figures in found)};"
        f" inertia off by {max(figures['inertia'] for figures in found):.1e} of itself at most,"
        f" centroids by {max(figures['centers'] for figures in found):.1e}"
    )
    equal = all(
        figures["labels"] and figures["n_iter"] and figures["inertia"] <= INERTIA
        for figures in found
    )
    sys.exit(0 if equal else 1)


if __name__ == "__main__":
    main()
