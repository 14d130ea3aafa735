"""Makes tests/golden: what scikit-learn, pandas, kneed and numpy say, for the Rust tests.

How to run (Python 3.11 or later; about a minute):

    python -m venv venv && venv/bin/pip install -r scripts/golden/requirements.txt
    venv/bin/python scripts/golden/make_golden.py --mnist train-images-idx3-ubyte

`--mnist` is MNIST's training images in their IDX form, plain or gzipped; only
the mnist3000 cases read it. `--only kmeans scaler elbow contingency kneedle
partitions gap` makes a part. Everything is seeded and runs on one thread: a second run on the same
versions writes the same bytes.

K-means cases are not taken on trust. Each one is run a second time by
`plain_lloyd`, a direct reading of what kscan computes, which also measures how
near any decision came to a tie. A case is written with `"compare": "all"`
only if both agree and no decision was near one; otherwise the script stops.
"""

import os

# Before numpy is imported: one thread, so that sums have one order.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import argparse
import gzip
import json
import math
import warnings
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
from kneed import KneeLocator
from scipy.spatial.distance import cdist
from sklearn import metrics
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

GOLDEN = Path(__file__).resolve().parents[2] / "tests" / "golden"

# A decision is near a tie when its margin is below this share of the data's
# own size (total sum of squares about the mean).
TIE = 1e-12


# --------------------------------------------------------------------------
# Files
# --------------------------------------------------------------------------


def write_npz(path, **arrays):
    """Compressed npz. numpy gives every member the date 1980-01-01."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **{k: np.ascontiguousarray(v) for k, v in arrays.items()})


def write_json(path, value):
    """JSON, one list element a line: Python prints floats so that they read back exactly."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(value, list):
        lines = ",\n".join(json.dumps(item, allow_nan=False) for item in value)
        text = f"[\n{lines}\n]\n"
    else:
        text = json.dumps(value, allow_nan=False, indent=1) + "\n"
    path.write_text(text)


def clean(folder, *patterns):
    for pattern in patterns:
        for path in folder.glob(pattern):
            path.unlink()


def read_idx_images(path):
    """MNIST's IDX images as u8 [n, 784]."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rb") as file:
        data = file.read()
    magic, n, height, width = np.frombuffer(data[:16], dtype=">i4")
    assert magic == 0x803, f"{path} is no IDX file of images"
    return np.frombuffer(data[16:], dtype=np.uint8).reshape(n, height * width)


def standard(x):
    """The matrix that is clustered: StandardScaler on f32."""
    return StandardScaler().fit_transform(x.astype(np.float32))


# --------------------------------------------------------------------------
# K-means
# --------------------------------------------------------------------------


def sklearn_lloyd(z, init, max_iter, tol):
    """The reference: KMeans in f64 on the f32 matrix."""
    model = KMeans(
        n_clusters=len(init),
        init=init.astype(np.float64),
        n_init=1,
        algorithm="lloyd",
        tol=tol,
        max_iter=max_iter,
    )
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(z.astype(np.float64))


def direct_distances(x, centers):
    """f64 [n, k] squared distances by direct differences."""
    out = np.empty((len(x), len(centers)))
    for j, center in enumerate(centers):
        out[:, j] = ((x - center) ** 2).sum(axis=1)
    return out


def plain_lloyd(z, init, max_iter, tol):
    """Lloyd's iterations as kscan defines them, and how near they came to a tie.

    An emptied donor, and an empty cluster that nothing was relocated to, go
    to the mean of the largest cluster (the first of them).

    `tie` is the smallest margin of any decision as a share of the data's sum
    of squares: nearest against second nearest centroid, farthest against
    second farthest row in a relocation, shift against tolerance.
    """
    x = z.astype(np.float64)
    mean = x.mean(axis=0)
    x = x - mean
    centers = init.astype(np.float64) - mean
    n, k = len(x), len(centers)
    scatter = float((x**2).sum())
    unit = scatter if scatter > 0 else 1.0
    limit = tol * np.var(z.astype(np.float64), axis=0).mean()
    tie = math.inf
    relocated = []

    def assign(centers):
        nonlocal tie
        d = direct_distances(x, centers)
        labels = d.argmin(axis=1)
        if k > 1:
            two = np.partition(d, 1, axis=1)
            tie = min(tie, float((two[:, 1] - two[:, 0]).min()) / unit)
        return labels, d[np.arange(n), labels]

    last = np.full(n, -1)
    stop = "max_iter"
    for iteration in range(1, max_iter + 1):
        labels, own = assign(centers)
        counts = np.bincount(labels, minlength=k)
        sums = np.zeros_like(centers)
        np.add.at(sums, labels, x)
        empty = np.flatnonzero(counts == 0)
        order = np.lexsort((np.arange(n), -own))
        donors = []
        for slot, cluster in enumerate(empty):
            row = order[slot]
            if own[row] == 0.0:
                break
            if slot + 1 < n:
                tie = min(tie, float(own[row] - own[order[slot + 1]]) / unit)
            donor = labels[row]
            sums[donor] -= x[row]
            sums[cluster] = x[row]
            counts[donor] -= 1
            counts[cluster] = 1
            donors.append(int(donor))
        if len(empty):
            relocated.append(
                {
                    "iteration": iteration,
                    "empty": [int(j) for j in empty],
                    "rows": [int(r) for r in order[: len(donors)]],
                    "donors_emptied": sorted({j for j in donors if counts[j] == 0}),
                }
            )
        new = np.empty_like(centers)
        biggest = int(np.argmax(counts))
        for j in range(k):
            source = j if counts[j] > 0 else biggest
            new[j] = sums[source] / counts[source]
        shift = float(((new - centers) ** 2).sum())
        centers = new
        if np.array_equal(labels, last):
            stop = "labels"
            break
        if limit > 0:
            tie = min(tie, abs(shift - limit) / limit)
        if shift <= limit:
            stop = "shift"
            break
        last = labels
    if stop != "labels":
        labels, _ = assign(centers)
    inertia = float(((x - centers[labels]) ** 2).sum())
    return {
        "labels": labels,
        "centers": centers + mean,
        "inertia": inertia,
        "n_iter": iteration,
        "stop": stop,
        "tie": tie,
        "scatter": scatter,
        "relocated": relocated,
    }


class KMeansCases:
    """Collects the cases: runs both implementations, holds them together, writes."""

    def __init__(self, folder):
        self.folder = folder
        self.cases = []

    def add(
        self,
        name,
        z,
        init,
        *,
        max_iter=300,
        tol=1e-4,
        compare="all",
        note="",
        init_rows=None,
        data=None,
        exact_ties=False,
    ):
        z = np.ascontiguousarray(z, dtype=np.float32)
        init = np.ascontiguousarray(init, dtype=np.float32)
        k = len(init)
        model = sklearn_lloyd(z, init, max_iter, tol)
        plain = plain_lloyd(z, init, max_iter, tol)
        labels = model.labels_.astype(np.int32)
        centers = model.cluster_centers_
        inertia = float(model.inertia_)

        close = abs(inertia - plain["inertia"]) <= (
            1e-10 * plain["inertia"] + 1e-15 * plain["scatter"]
        )
        assert close, (name, "inertia", inertia, plain["inertia"])
        if compare == "all":
            assert np.array_equal(labels, plain["labels"]), (name, "labels")
            assert model.n_iter_ == plain["n_iter"], (name, model.n_iter_, plain["n_iter"])
            size = math.sqrt(plain["scatter"] / len(z)) or 1.0
            off = np.abs(centers - plain["centers"]).max() / size
            # Adding and subtracting a mean far from zero costs digits.
            allowed = 1e-12 * max(1.0, float(np.abs(z).max()) / size)
            assert off <= allowed, (name, "centers", off)
            assert exact_ties or plain["tie"] > TIE, (name, "near-tie", plain["tie"])

        arrays = {"labels": labels, "centers": centers, "init": init}
        if data is None:
            arrays["z"] = z
        else:
            assert np.array_equal(z[init_rows], init), name
            arrays["init_rows"] = np.asarray(init_rows, dtype=np.int64)
        write_npz(self.folder / f"{name}.npz", **arrays)
        self.cases.append(
            {
                "name": name,
                "data": data,
                "n": len(z),
                "d": z.shape[1],
                "k": k,
                "max_iter": max_iter,
                "tol": tol,
                "inertia": inertia,
                "n_iter": int(model.n_iter_),
                "stop": plain["stop"] if compare == "all" else None,
                "compare": compare,
                "scatter": plain["scatter"],
                "distinct_clusters": len(np.unique(labels)),
                "tie_margin": plain["tie"] if math.isfinite(plain["tie"]) else None,
                "relocated": plain["relocated"] if compare == "all" else None,
                "note": note,
            }
        )

    def write(self):
        write_json(self.folder / "cases.json", self.cases)


def blobs(rng, sizes, centers, spread):
    """Gaussian blobs, shuffled."""
    parts = [
        np.asarray(c) + spread * rng.standard_normal((n, len(c))) for n, c in zip(sizes, centers)
    ]
    return rng.permutation(np.vstack(parts)).astype(np.float32)


def find_relocations(wanted, n, d, k, start):
    """The first seed whose run relocates one row at a time, in iterations that `wanted` accepts."""
    for seed in range(start, start + 200_000):
        rng = np.random.RandomState(seed)
        z = rng.standard_exponential((n, d)).astype(np.float32)
        init = (z[rng.permutation(n)[:k]] + 1.5 * rng.standard_normal((k, d))).astype(np.float32)
        run = plain_lloyd(z, init, 300, 1e-4)
        if run["tie"] < 1e-7 or any(
            len(r["empty"]) != 1 or r["donors_emptied"] for r in run["relocated"]
        ):
            continue
        if wanted([r["iteration"] for r in run["relocated"]]):
            return seed, z, init
    raise AssertionError("no seed found")


def make_kmeans(folder, mnist):
    clean(folder, "*.npz", "*.json")
    cases = KMeansCases(folder)

    # Real data: the consumer scales the raw rows itself.
    digits = load_digits()
    raw = digits.data.astype(np.uint8)
    write_npz(
        folder / "raw" / "digits.npz", x=raw, y=digits.target.astype(np.int64)
    )
    z = standard(raw)
    for k in (2, 5, 10, 30):
        for i in range(2):
            rows = np.random.RandomState(1000 * k + i).permutation(len(z))[:k]
            cases.add(f"digits_k{k:02}_i{i}", z, z[rows], init_rows=rows, data="digits")
    z = standard(read_idx_images(mnist)[:3000])
    for k in (5, 10, 15):
        for i in range(2):
            rows = np.random.RandomState(2000 * k + i).permutation(len(z))[:k]
            cases.add(f"mnist3000_k{k:02}_i{i}", z, z[rows], init_rows=rows, data="mnist3000")

    # Shapes.
    rng = np.random.RandomState(1)
    distinct = rng.standard_normal((40, 5)).astype(np.float32)
    z = rng.permutation(np.repeat(distinct, 25, axis=0))
    cases.add("duplicates", z, distinct[[3, 11, 19, 30]] + np.float32(0.05),
              note="40 distinct rows, 25 times each")

    rng = np.random.RandomState(2)
    z = rng.standard_normal((200, 1)).astype(np.float32)
    cases.add("one_feature", z, np.float32([[-0.31], [0.22], [1.07]]))

    rng = np.random.RandomState(3)
    z = rng.standard_normal((150, 6)).astype(np.float32)
    z[:, [1, 4]] = 0
    cases.add("constant_columns", z, z[[0, 40, 80, 120]], note="columns 1 and 4 are zero")

    rng = np.random.RandomState(4)
    z = rng.standard_normal((12, 3)).astype(np.float32)
    cases.add("k_equals_n", z, z[rng.permutation(12)], note="a start on the rows, permuted")
    cases.add("k_equals_n_off", z,
              z[rng.permutation(12)] + (0.02 * rng.standard_normal((12, 3))).astype(np.float32),
              note="a start near the rows")

    rng = np.random.RandomState(5)
    z = rng.standard_normal((100, 4)).astype(np.float32)
    cases.add("k_one", z, np.float32([[3, -2, 1, 0.5]]))
    cases.add("one_row", z[:1], np.float32([[3, -2, 1, 0.5]]), note="n = 1")

    for n, d, k in ((257, 13, 7), (500, 17, 25), (255, 33, 9), (1025, 2, 16), (64, 129, 3)):
        rng = np.random.RandomState(n)
        z = rng.standard_normal((n, d)).astype(np.float32)
        z[: n // 2] += 1
        cases.add(f"odd_n{n}_d{d}_k{k}", z, z[rng.permutation(n)[:k]],
                  note="sizes that are no multiples of anything")

    # Clusters that go empty, one at a time.
    corners = [(-5, 0, 0), (5, 1, 0), (0, 6, 2)]
    for place in (0, 2, 3):
        rng = np.random.RandomState(6)
        z = blobs(rng, (60, 50, 40), corners, 1.0)
        init = np.insert(np.float32(corners) + np.float32(0.1), place, 1000.0, axis=0)
        cases.add(f"empty_first_at{place}", z, init,
                  note=f"centroid {place} starts far from everything: empty in iteration 1")
    for name, wanted, size in (
        ("empty_later", lambda its: len(its) == 1 and its[0] >= 2, (40, 2, 6)),
        ("empty_third", lambda its: len(its) == 1 and its[0] >= 3, (40, 2, 8)),
        ("empty_twice_running",
         lambda its: any(b == a + 1 for a, b in zip(its, its[1:])), (40, 2, 7)),
        ("empty_twice_apart",
         lambda its: any(b > a + 1 for a, b in zip(its, its[1:])), (40, 2, 7)),
    ):
        seed, z, init = find_relocations(wanted, *size, start=0)
        cases.add(name, z, init, note=f"found by search, seed {seed}")
    rng = np.random.RandomState(7)
    z = blobs(rng, (60, 50, 40), corners, 1.0)
    init = np.vstack([np.float32(corners), np.float32([[1000] * 3, [-1000] * 3])])
    cases.add("empty_two_at_once", z, init, compare="inertia",
              note="scikit-learn's order among several empty clusters is unspecified")

    # The row that an empty cluster takes was its cluster's only one.
    line = np.float32([[0], [1], [2], [3.5], [100]])
    cases.add("donor_emptied_after", line, np.float32([[1.5], [60], [1000]]), exact_ties=True,
              note="the emptied donor has a higher index than the largest cluster and goes to"
                   " its mean; next iteration it is empty again")
    cases.add("donor_emptied_after_1", line, np.float32([[1.5], [60], [1000]]), max_iter=1,
              exact_ties=True,
              note="the same after one iteration: two equal centroids, ties to the lower")
    cases.add("donor_emptied_before", line, np.float32([[60], [1.5], [1000]]),
              compare="inertia",
              note="the emptied donor has a lower index than the largest cluster: scikit-learn"
                   " puts it at that cluster's sum (about the data's mean), not at its mean")

    # Stopping.
    rng = np.random.RandomState(8)
    z = rng.standard_normal((400, 4)).astype(np.float32)
    init = z[rng.permutation(400)[:8]]
    for max_iter in (1, 2, 3):
        cases.add(f"max_iter_{max_iter}", z, init, max_iter=max_iter)
    cases.add("tol_zero", z, init, tol=0.0)
    for tol in (1e-2, 0.1, 0.5):
        cases.add(f"tol_{tol}", z, init, tol=tol)
    cases.add("tol_huge", z, init, tol=1e3, note="stops by shift in the first iteration")

    # Magnitudes.
    rng = np.random.RandomState(9)
    z = blobs(rng, (80, 70), [(1e4, 1e4, 1e4), (1e4 + 40, 1e4 - 30, 1e4)], 1.0)
    cases.add("offset_k2", z, z[[0, 1]], note="two blobs, 1e4 from the origin")
    cases.add("offset_k5", z, z[[0, 1, 2, 3, 4]])
    z = blobs(rng, (80, 70), [(-1e4, 0), (1e4, 1e4)], 0.5)
    cases.add("offset_apart_k2", z, z[[5, 6]] + np.float32([[0], [3]]),
              note="two blobs 2e4 apart")
    rng = np.random.RandomState(10)
    z = rng.standard_normal((90, 3)).astype(np.float32)
    for name, factor in (("huge_1e17", 1e17), ("huge_1e30", 1e30),
                         ("tiny_1e-17", 1e-17), ("tiny_1e-30", 1e-30)):
        scaled = z * np.float32(factor)
        cases.add(name, scaled, scaled[[1, 2, 3]],
                  note="squares leave f32's range beyond about 1e19 and 1e-19")

    # Exact ties: integers about a mean of zero, so that no step rounds.
    z = np.float32([[-1], [0], [1]])
    cases.add("ties_line", z, np.float32([[-1], [1]]), exact_ties=True,
              note="row 1 lies in the middle: the lower index wins")
    cases.add("ties_line_swapped", z, np.float32([[1], [-1]]), exact_ties=True)
    grid = np.float32([[a, b] for a in (-2, 0, 2) for b in (-2, 0, 2)])
    cases.add("ties_grid_1", grid, np.float32([[-2, -2], [2, 2], [-2, 2], [2, -2]]), max_iter=1,
              compare="inertia", note="one iteration on a grid, ties everywhere in the second"
                                      " assignment")
    same = np.float32([[-4, 0], [-4, 0], [4, 0], [4, 0], [0, 4], [0, -4]])
    cases.add("ties_equal_starts", same, np.float32([[-4, 0], [4, 0], [0, 4], [0, -4], [0, -4]]),
              exact_ties=True, compare="inertia",
              note="two equal starts: the higher index is empty; every distance is 0")

    # Fewer distinct rows than k. scikit-learn finishes and warns.
    rng = np.random.RandomState(11)
    distinct = np.float32([[-6, 2], [-1, 5], [0, -7], [3, 0], [4, 0]])
    z = rng.permutation(np.repeat(distinct, 16, axis=0))
    cases.add("fewer_distinct_exact", z, np.vstack([distinct, distinct[:3]]), compare="inertia",
              note="5 distinct rows, k = 8, a start on them: every distance is 0, nothing is"
                   " relocated, three clusters stay empty, inertia exactly 0")
    distinct = rng.standard_normal((5, 3)).astype(np.float32)
    z = rng.permutation(np.repeat(distinct, 13, axis=0))
    cases.add("fewer_distinct", z, rng.standard_normal((8, 3)).astype(np.float32),
              compare="inertia",
              note="5 distinct rows, k = 8, a start anywhere: inertia is 0 but for"
                   " scikit-learn's rounding; compare with scatter as the unit")
    z = np.repeat(np.float32([[0.1, 0.7]]), 9, axis=0)
    cases.add("all_equal", z, np.float32([[0.1, 0.7], [0.3, 0.7], [5, 5]]), compare="inertia",
              note="one distinct row, k = 3; scatter is 0 but for rounding")
    cases.write()
    make_kmeans_quirks(folder)


def make_kmeans_quirks(folder):
    """What scikit-learn does where its answer is no rule: documented, not to be matched."""
    quirks = []

    def add(name, z, init, max_iter, note):
        z, init = np.float32(z), np.float32(init)
        model = sklearn_lloyd(z, init, max_iter, 1e-4)
        nearest = direct_distances(z.astype(np.float64), model.cluster_centers_).argmin(axis=1)
        quirks.append(
            {
                "name": name,
                "z": z.tolist(),
                "init": init.tolist(),
                "max_iter": max_iter,
                "tol": 1e-4,
                "labels": model.labels_.tolist(),
                "nearest": nearest.tolist(),
                "centers": model.cluster_centers_.tolist(),
                "inertia": float(model.inertia_),
                "n_iter": int(model.n_iter_),
                "note": note,
            }
        )

    line = [[0], [1], [2], [3], [100]]
    add("donor_at_the_sum", line, [[60], [1.5], [1000]], 1,
        "_average_centers copies the largest cluster before it is divided when the empty one has"
        " a lower index: 21.2 + (6 - 4 * 21.2) = -57.6, where the mean is 1.5")
    add("empty_at_the_sum", [[0], [0], [0], [4], [4]], [[9], [0], [4]], 300,
        "nothing to relocate (every distance is 0); the empty cluster 0 goes to the sum, -3.2")
    add("empty_at_the_mean", [[0], [0], [0], [4], [4]], [[0], [4], [9]], 300,
        "the same with the empty cluster last: it goes to the mean of the largest, 0")
    add("zero_distance_is_relocated", [[0]] * 4 + [[4]] * 3 + [[5]], [[0], [4], [90], [95]], 1,
        "two empty clusters, one row with a distance above 0: the second takes a row of"
        " distance 0, since scikit-learn only gives up when every distance is 0")
    add("labels_do_not_belong", [[10]] * 4 + [[0], [1], [2.5], [0.5]], [[1], [12], [900]], 300,
        "cluster 2 takes one of four equal rows, loses it to cluster 1 by the tie, so the labels"
        " do not change: it stops by labels just after cluster 2 took another row. The returned"
        " labels are not the nearest of the returned centers")
    write_json(folder / "quirks.json", quirks)


# --------------------------------------------------------------------------
# Scaler
# --------------------------------------------------------------------------


def constant_columns(var, mean, n):
    """scikit-learn's _is_constant_feature."""
    eps = np.finfo(np.float64).eps
    return var <= n * eps * var + (n * mean * eps) ** 2


def check_scaler(name, x32, scaler, z):
    """The f32 steps are what semantics say, and no rounding to f32 was a close call."""
    mean32 = scaler.mean_.astype(np.float32)
    scale32 = scaler.scale_.astype(np.float32)
    assert np.isfinite(z).all(), (name, "not finite")
    assert np.array_equal(z, (x32 - mean32) / scale32), (name, "steps")
    for j in range(x32.shape[1]):
        column = [float(v) for v in x32[:, j]]
        mean = math.fsum(column) / len(column)
        var = math.fsum((v - mean) ** 2 for v in column) / len(column)
        assert np.float32(mean) == mean32[j], (name, j, "mean next to a rounding boundary")
        if scaler.scale_[j] != 1.0:
            std = np.float32(math.sqrt(var))
            assert std == scale32[j], (name, j, "scale next to a rounding boundary")


def make_scaler(folder, mnist):
    clean(folder, "*.npz", "*/*.npz")

    def add(name, x):
        x32 = x.astype(np.float32)
        scaler = StandardScaler().fit(x32)
        z = scaler.transform(x32)
        constant = constant_columns(scaler.var_, scaler.mean_, len(x))
        assert (scaler.scale_[constant] == 1).all(), name
        assert np.array_equal(scaler.scale_[~constant], np.sqrt(scaler.var_[~constant])), name
        check_scaler(name, x32, scaler, z)
        write_npz(folder / f"{name}.npz", x=x, z=z, mean=scaler.mean_, scale=scaler.scale_,
                  var=scaler.var_, constant=constant)

    add("digits500_u8", load_digits().data[:500].astype(np.uint8))

    rng = np.random.RandomState(20)
    add("bytes_u8", rng.randint(0, 256, (300, 1)).astype(np.uint8))
    add("small_i64", rng.randint(-50, 50, (200, 5)).astype(np.int64))
    # Beyond 2^24 an f32 holds no longer every integer.
    add("large_i64", rng.randint(-(2**40), 2**40, (200, 4)).astype(np.int64)
        + np.int64([0, 2**41, -(2**45), 2**25]))
    spread = np.logspace(-3, 3, 7)
    base = rng.standard_normal((400, 7)) * spread
    add("plain_f32", base.astype(np.float32))
    add("offset_f32", (base + 1e4).astype(np.float32))
    add("offset_f64", base + 1e4)
    add("negative_offset_f64", base - 1e4)
    add("wide_f64", rng.standard_normal((50, 70)) * np.logspace(-20, 20, 70))

    values = [0.0, 1.0, -1.0, 0.1, 1e7 + 0.1, -333333.3, 1e-30, 1e30, 16777217.0]
    x = np.tile(values, (300, 1))
    x = np.hstack([x, rng.standard_normal((300, 1))])
    add("constant_f32", x.astype(np.float32))
    add("constant_f64", x)
    add("constant_u8", np.hstack([np.full((77, 1), v) for v in (0, 1, 7, 255)]).astype(np.uint8))
    # Differs in f64, and is constant once it is f32.
    x = np.full((100, 2), 5.0)
    x[::2, 0] += 1e-12
    x[:, 1] += rng.standard_normal(100)
    add("constant_after_rounding_f64", x)

    # One row, one step of f32, away from all others.
    x = np.tile(np.float32([1.0, 1e7, 1e-3, -250.0, 0.0]), (250, 1))
    x[17, :4] = np.nextafter(x[17, :4], np.float32(np.inf))
    x[17, 4] = 1e-20
    add("nearly_constant_f32", x)
    x = x.copy()
    x[100:200, :4] = np.nextafter(x[100:200, :4], np.float32(np.inf))
    add("two_values_f32", x)

    x = rng.standard_normal((120, 4)) * [1e-37, 1e-39, 1e-41, 1e-43]
    add("denormal_f32", x.astype(np.float32))
    add("single_row_f64", np.float64([[3.7, -2.0, 0.0, 1e7 + 0.1]]))
    add("single_row_u8", np.uint8([[0, 255, 13]]))
    add("two_rows_f32", np.float32([[1, 2, 0.1, -5, 1e7], [1, 3, 0.2, 5, 1e7 + 1]]))
    add("two_rows_f64", np.float64([[1, 2, 0.1, -5, 1e7], [1, 3, 0.2, 5, 1e7 + 0.1]]))

    # All of MNIST: the rows are elsewhere.
    raw = read_idx_images(mnist).astype(np.float32)
    scaler = StandardScaler().fit(raw)
    constant = constant_columns(scaler.var_, scaler.mean_, len(raw))
    assert constant.sum() == 67
    write_npz(folder / "stats_only" / "mnist.npz", mean=scaler.mean_, scale=scaler.scale_,
              var=scaler.var_, constant=constant)


# --------------------------------------------------------------------------
# Elbow
# --------------------------------------------------------------------------


def exact_score(k, y):
    """R^2 of the least-squares line in rationals; 1 for a constant segment."""
    k, y = [Fraction(v) for v in k], [Fraction(v) for v in y]
    mk, my = sum(k) / len(k), sum(y) / len(y)
    syy = sum((b - my) ** 2 for b in y)
    if syy == 0:
        return 1.0
    skk = sum((a - mk) ** 2 for a in k)
    sky = sum((a - mk) * (b - my) for a, b in zip(k, y))
    return float(sky * sky / (skk * syy))


def sklearn_score(k, y):
    x = np.float64(k)[:, None]
    return float(LinearRegression().fit(x, np.float64(y)).score(x, np.float64(y)))


def elbow_record(kind, k, y, source):
    n = len(k)
    thresholds = list(range(2, n - 1))
    left, right, constant = [], [], []
    worst = 0.0
    for t in thresholds:
        for side, scores in ((slice(0, t), left), (slice(t, n), right)):
            exact = exact_score(k[side], y[side])
            if len(set(y[side])) == 1:
                constant.append([t, "left" if scores is left else "right"])
                score = 1.0
            elif source == "exact":
                score = exact
            else:
                score = sklearn_score(k[side], y[side])
            worst = max(worst, abs(score - exact))
            scores.append(score)
    scores = [(a + b) / 2 for a, b in zip(left, right)]
    best = max(scores)
    near = sum(s >= best - 1e-9 for s in scores)
    record = {
        "kind": kind,
        "source": source,
        "k": k,
        "inertia": y,
        "thresholds": thresholds,
        "score_left": left,
        "score_right": right,
        "score": scores,
        "elbow_k": k[thresholds[scores.index(best)]],
        "ambiguous": near > 1,
        "constant_segments": constant,
    }
    return record, worst


def make_elbow(folder):
    rng = np.random.RandomState(30)
    curves = []

    def some_k(n):
        style = rng.randint(4)
        if style == 0:
            k = np.arange(2, 2 + n)
        elif style == 1:
            k = rng.randint(1, 50) + rng.randint(2, 10) * np.arange(n)
        elif style == 2:
            k = np.cumsum(rng.randint(1, 6, n))
        else:
            k = np.unique(np.round(np.geomspace(1, 40 * n, n)).astype(int))
            k = k if len(k) == n else np.arange(1, n + 1)
        return [int(v) for v in k]

    def add(kind, k, y, source="scikit-learn"):
        k, y = [int(v) for v in k], [float(v) for v in y]
        record, worst = elbow_record(kind, k, y, source)
        assert worst < 1e-10, (kind, worst, k, y)
        curves.append(record)

    def length():
        return int(rng.randint(4, 31))

    for n in list(range(4, 31)) + [length() for _ in range(13)]:
        k = some_k(n)
        y = 10 ** rng.uniform(0, 8) * np.float64(k) ** -rng.uniform(0.1, 2.0)
        add("convex", k, y)
    for _ in range(60):
        k = some_k(length())
        y = 10 ** rng.uniform(0, 8) * np.float64(k) ** -rng.uniform(0.1, 2.0)
        add("noisy", k, y * (1 + rng.choice([1e-4, 1e-2, 0.1]) * rng.standard_normal(len(k))))
    for _ in range(20):
        k = some_k(length())
        add("linear", k, rng.randint(10**6, 10**7) - float(rng.randint(1, 1000)) * np.float64(k))
    for _ in range(50):
        k = some_k(rng.randint(6, 31))
        knee = int(rng.randint(2, len(k) - 1))
        x = np.float64(k)
        y = np.where(x <= k[knee], -rng.uniform(5, 50) * (x - k[knee]),
                     -rng.uniform(0, 0.5) * (x - k[knee])) + 1000
        y = y + rng.choice([0.0, 0.3]) * rng.standard_normal(len(k))
        add("knee", k, y)
    for value in (0.0, 1.0, 0.1, 38781580.0, 1e-300, 1e300):
        k = some_k(length())
        add("constant", k, [value] * len(k))
    for _ in range(20):
        k = some_k(rng.randint(6, 31))
        level = rng.uniform(1, 1e6)
        y = np.float64(k) ** -0.5 * level * 3
        cut = rng.randint(2, len(k) - 1)
        if rng.randint(2):
            y[cut:] = 0.1 * level
        else:
            y[:cut] = 7.3 * level
        add("constant segment", k, y)
    for _ in range(15):
        k = some_k(length())
        add("increasing", k, np.cumsum(rng.uniform(0, 1, len(k))) * 10 ** rng.uniform(-3, 6))
    for _ in range(15):
        k = some_k(length())
        add("random", k, rng.uniform(0, 1, len(k)))
    for power in (-140, -100, -30, -10, 15, 30, 100, 140):
        for _ in range(3):
            k = some_k(length())
            y = 10.0**power * np.float64(k) ** -rng.uniform(0.1, 2.0)
            add("magnitude", k, y * (1 + 0.01 * rng.standard_normal(len(k))))
    # Where f64 formulas of the plain kind fail: squares that leave the range,
    # small steps on a large offset. scikit-learn fails with them.
    for power in (-318, -310, -200, -160, 155, 200, 300, 307):
        for _ in range(2):
            k = some_k(length())
            y = np.clip(np.float64(k) ** -0.3 * (1 + 0.1 * rng.standard_normal(len(k))), 0, 1.7)
            add("out of range", k, y * 10.0**power, source="exact")
    for step in (2.0**-20, 2.0**-12, 2.0**-4):
        for _ in range(3):
            k = some_k(length())
            y = 2.0**30 + step * rng.randint(0, 40, len(k))
            add("offset", k, y, source="exact")

    # The best of ten inits on MNIST, k = 5 .. 15, two implementations.
    ks = list(range(5, 16))
    add("mnist", ks, [38781580, 38171672, 37617580, 37151560, 36739852, 36370268, 36035008,
                      35727216, 35443692, 35197584, 34955056])
    add("mnist", ks, [38781664, 38171404, 37617592, 37151764, 36750132, 36370396, 36035308,
                      35727368, 35443868, 35204224, 34917292])
    # Prefixes: the shortest curves that can have an elbow.
    full = [38781580, 38171672, 37617580, 37151560, 36739852, 36370268]
    for n in (4, 5, 6):
        add("mnist prefix", ks[:n], full[:n])

    assert len(curves) >= 250, len(curves)
    write_json(folder / "curves.json", curves)


# --------------------------------------------------------------------------
# Contingency
# --------------------------------------------------------------------------


def make_contingency(folder):
    clean(folder, "*.json")

    def add(name, labels, clusters, k, note=""):
        frame = pd.DataFrame({"label": labels, "cluster": clusters, "one": 1})
        every = pd.RangeIndex(k)
        # pandas has no column for a cluster without rows: reindex adds it.
        table = pd.crosstab(frame["label"], frame["cluster"]).reindex(columns=every, fill_value=0)
        pivot = frame.pivot_table(index="label", columns="cluster", values="one", aggfunc="sum",
                                  fill_value=0).reindex(columns=every, fill_value=0)
        assert (table.to_numpy() == pivot.to_numpy()).all()
        counts = table.to_numpy()
        write_json(folder / f"{name}.json", {
            "note": note,
            "k": k,
            "labels": [int(v) for v in labels],
            "clusters": [int(v) for v in clusters],
            "table_labels": [int(v) for v in table.index],
            "counts": counts.tolist(),
            "row_totals": counts.sum(axis=1).tolist(),
            "column_totals": counts.sum(axis=0).tolist(),
            "purity": float(counts.max(axis=0).sum() / counts.sum()),
            "adjusted_rand": metrics.adjusted_rand_score(labels, clusters),
            "normalized_mutual_information": metrics.normalized_mutual_info_score(labels, clusters),
            "homogeneity": metrics.homogeneity_score(labels, clusters),
            "completeness": metrics.completeness_score(labels, clusters),
            "v_measure": metrics.v_measure_score(labels, clusters),
        })

    rng = np.random.RandomState(40)
    add("ten_by_ten", rng.randint(0, 10, 700), rng.randint(0, 10, 700), 10)
    add("negative_labels", rng.choice([-3, -1, 0, 2], 90), rng.randint(0, 4, 90), 4)
    add("gaps", rng.choice([7, 1000, -(2**62), 2**62], 80), rng.randint(0, 3, 80), 3)
    add("zero_cells", [0, 0, 1, 1, 2, 2], [0, 0, 1, 1, 1, 0], 2,
        "cluster 0 has no row of label 1, cluster 1 none of label 0")
    add("empty_clusters", [5, 5, 6, 6, 5], [1, 1, 3, 3, 3], 6,
        "clusters 0, 2, 4 and 5 have no rows: columns of zeros, by reindex")
    add("one_label", [4] * 6, [0, 1, 2, 0, 1, 2], 3)
    add("one_cluster", [1, 2, 3, 1], [0, 0, 0, 0], 1)
    add("one_row", [-9], [2], 3)
    add("independent", np.tile([0, 1, 2], 8), np.repeat([0, 1, 2, 3], 6), 4,
        "every label is spread evenly: no mutual information")
    add("one_label_one_cluster", [8] * 5, [0] * 5, 1)
    add("every_row_alone", [1, 1, 2, 2], [0, 1, 2, 3], 4)
    add("worse_than_chance", [0, 0, 1, 1], [0, 1, 0, 1], 2)
    add("perfect", np.repeat([3, 1, 2], 5), np.repeat([2, 0, 1], 5), 3)
    digits = load_digits()
    model = sklearn_lloyd(standard(digits.data), standard(digits.data)[:10], 300, 1e-4)
    add("digits_k10", digits.target, model.labels_, 10)


# --------------------------------------------------------------------------
# Kneedle
# --------------------------------------------------------------------------


def make_kneedle(folder):
    rng = np.random.RandomState(50)
    curves = []

    def add(kind, k, y):
        k, y = np.asarray(k, dtype=int), np.asarray(y, dtype=float)
        with warnings.catch_warnings():
            # Flat curves: 0 / 0, and then no knee.
            warnings.simplefilter("ignore", RuntimeWarning)
            locator = KneeLocator(k, y, S=1.0, curve="convex", direction="decreasing")
            height = locator.y_difference
        # Near a tie, rounding decides.
        below = np.abs(np.subtract.outer(height, locator.Tmx)).ravel()
        margins = np.concatenate([np.abs(np.diff(height)), below])
        near = np.nanmin(margins, initial=1.0) < 1e-12
        knee = None if locator.knee is None else int(locator.knee)
        curves.append({
            "kind": kind, "k": k.tolist(), "inertia": y.tolist(), "knee": knee,
            "height": None if knee is None else float(height[k.tolist().index(knee)]),
            "ambiguous": bool(near),
        })

    def some_k(n):
        if rng.rand() < 0.3:
            return np.cumsum(rng.randint(1, 4, n)) + 1
        return np.arange(n) * rng.randint(1, 3) + rng.randint(1, 6)

    for _ in range(60):
        k = some_k(rng.randint(3, 30))
        add("power", k, 1e6 * k ** -rng.uniform(0.05, 2.0))
    for _ in range(60):
        k = some_k(rng.randint(4, 25))
        add("noisy power", k, k ** -rng.uniform(0.1, 1.5) * (1 + 0.05 * rng.randn(len(k))))
    for _ in range(60):
        k = some_k(rng.randint(4, 25))
        cut = k[rng.randint(1, len(k) - 1)]
        y = np.where(k < cut, 100 - 5.0 * (k - k[0]), 100 - 5.0 * (cut - k[0]) - rng.rand() * (k - cut))
        add("corner", k, y + 0.2 * rng.randn(len(k)))
    for _ in range(30):
        k = some_k(rng.randint(3, 25))
        add("straight", k, 100 - 2.0 * k + rng.choice([1e-9, 0.05, 0.5]) * rng.randn(len(k)))
    for _ in range(30):
        k = some_k(rng.randint(3, 25))
        add("concave", k, 1000 - k ** rng.uniform(1.1, 2.5))
    for _ in range(20):
        k = some_k(rng.randint(3, 25))
        add("rising", k, k ** rng.uniform(0.3, 2.0))
    for _ in range(40):
        k = some_k(rng.randint(2, 25))
        add("random", k, rng.rand(len(k)))
    add("flat", [2, 3, 4, 5], [7.0] * 4)
    add("flat but for one", [2, 3, 4, 5], [8.0, 7.0, 7.0, 7.0])
    add("two points", [2, 3], [9.0, 4.0])
    add("three points", [2, 3, 4], [9.0, 4.0, 3.5])
    write_json(folder / "curves.json", curves)


# --------------------------------------------------------------------------
# Partitions of rows
# --------------------------------------------------------------------------


def make_partitions(folder):
    clean(folder, "*.json")

    def add(name, x, labels, k, note="", raw=None):
        x, labels = np.asarray(x, dtype=np.float32), np.asarray(labels)
        wide = x.astype(np.float64)
        answers = {"calinski_harabasz": None, "davies_bouldin": None, "silhouettes": None}
        if 2 <= len(np.unique(labels)) < len(x):
            # Direct differences, where scikit-learn's own take off a dot product.
            distances = cdist(wide, wide)
            silhouettes = metrics.silhouette_samples(distances, labels, metric="precomputed")
            usual = metrics.silhouette_score(wide, labels)
            assert abs(silhouettes.mean() - usual) < 1e-6, (name, usual)
            answers = {
                "calinski_harabasz": float(metrics.calinski_harabasz_score(wide, labels)),
                "davies_bouldin": float(metrics.davies_bouldin_score(wide, labels)),
                "silhouettes": silhouettes.tolist(),
            }
        write_json(folder / f"{name}.json", {
            "note": note, "k": k, "d": x.shape[1], "raw": raw,
            "x": None if raw else x.ravel().astype(np.float64).tolist(),
            "labels": labels.tolist(), **answers,
        })

    rng = np.random.RandomState(60)
    add("three_points", [[0, 1], [1, 1], [3, 4]], [0, 0, 1], 2, "scikit-learn's example")
    add("k_1", rng.randn(9, 3), [0] * 9, 1, "not defined for a single cluster")
    add("every_row_alone", rng.randn(5, 2), range(5), 5, "not defined for n clusters")
    add("one_row", [[1.5, 2.5]], [0], 1)
    add("one_row_clusters", rng.randn(6, 4), [0, 1, 2, 3, 3, 3], 4)
    add("empty_clusters", rng.randn(12, 3), rng.choice([1, 3], 12), 6,
        "clusters 0, 2, 4 and 5 have no rows")
    add("all_rows_equal", np.full((8, 3), 0.25), [0, 1, 2, 0, 1, 2, 0, 1], 3)
    add("means_coincide", [[-1, 0], [1, 0], [-2, 0], [2, 0], [0, 5]], [0, 0, 1, 1, 2], 3,
        "clusters 0 and 1 have the same mean")
    add("rows_on_means", [[0, 0], [0, 0], [3, 3], [3, 3]], [0, 0, 1, 1], 2)
    add("far_offset", rng.randn(40, 5) + 1000, rng.randint(0, 3, 40), 3)
    add("one_column", rng.randn(33, 1), rng.randint(0, 4, 33), 4)
    for i in range(25):
        n, d, k = rng.randint(4, 90), rng.randint(1, 40), rng.randint(2, 9)
        centers = rng.randn(k, d) * rng.uniform(0, 4)
        labels = rng.randint(0, k, n)
        x = centers[labels] + rng.randn(n, d) * rng.uniform(0.1, 2)
        if i % 3 == 0:
            labels = rng.randint(0, k, n)
        add(f"random_{i:02}", x, labels, k)
    digits = load_digits()
    for k in (2, 10):
        model = sklearn_lloyd(digits.data.astype(np.float32), digits.data[:k], 300, 1e-4)
        add(f"digits_k{k:02}", digits.data, model.labels_, k, raw="kmeans/raw/digits.npz")


# --------------------------------------------------------------------------
# Gap statistic
# --------------------------------------------------------------------------


def gap_statistic(inertia, references):
    """Tibshirani, Walther and Hastie (2001), equations 3 and 4 and their rule.

    inertia [K] of the data, references [B, K]. Their W_k, the pooled sum of
    squares around the cluster means, is the inertia.
    """
    logs = np.log(references)
    gap = logs.mean(axis=0) - np.log(inertia)
    s = logs.std(axis=0, ddof=0) * np.sqrt(1 + 1 / len(references))
    good_enough = gap[:-1] >= gap[1:] - s[1:]
    index = int(np.argmax(good_enough)) if good_enough.any() else None
    margin = float(np.abs(gap[:-1] - gap[1:] + s[1:]).min(initial=np.inf))
    return gap, s, index, margin


def make_gap(folder):
    cases = []

    def add(kind, k, inertia, references):
        inertia, references = np.asarray(inertia, float), np.asarray(references, float)
        gap, s, index, margin = gap_statistic(inertia, references)
        # Nobody's rounding may choose.
        assert margin > 1e-9, (kind, margin)
        cases.append({
            "kind": kind, "k": list(k), "inertia": inertia.tolist(),
            "references": references.tolist(), "gap": gap.tolist(), "s": s.tolist(),
            "chosen": None if index is None else list(k)[index],
        })

    rng = np.random.RandomState(80)
    add("two_k_one_reference", [2, 3], [10.0, 9.0], [[20.0, 11.0]])
    add("rises_to_the_end", range(1, 6), [100, 50, 25, 12, 6], [[100, 90, 80, 70, 60]] * 3)
    add("one_k", [4], [3.5], [[7.0], [8.0]])
    add("tiny", range(1, 5), [1e-300, 5e-301, 2e-301, 1e-301], [[1e-290] * 4, [3e-290] * 4])
    add("huge", range(1, 5), [1e300, 5e299, 2e299, 1e299], [[1e305] * 4, [3e305] * 4])
    for _ in range(40):
        count, b = rng.randint(2, 15), rng.randint(1, 25)
        k = range(rng.randint(1, 6), 60, rng.randint(1, 4))[:count]
        inertia = 1000 / np.asarray(k) ** rng.uniform(0.3, 2) * rng.uniform(0.8, 1.2, len(k))
        shape = 1000 / np.asarray(k) ** rng.uniform(0.3, 1)
        add("random", k, inertia, shape * rng.uniform(0.9, 1.1, (b, len(k))))

    def clustered(x, ks):
        """Inertias of scikit-learn's KMeans."""
        with threadpool_limits(1):
            model = lambda k: KMeans(n_clusters=k, n_init=4, random_state=0).fit(x)
            return [float(model(k).inertia_) for k in ks]

    for centers in (1, 3, 5):
        middles = rng.uniform(-10, 10, (centers, 2))
        x = np.concatenate([middle + rng.randn(60, 2) * 0.5 for middle in middles])
        box = [rng.uniform(x.min(axis=0), x.max(axis=0), x.shape) for _ in range(8)]
        ks = range(1, 9)
        add(f"blobs_{centers}", ks, clustered(x, ks), [clustered(z, ks) for z in box])
        assert cases[-1]["chosen"] == centers, cases[-1]
    write_json(folder / "cases.json", cases)


def main():
    parts = ("kmeans", "scaler", "elbow", "contingency", "kneedle", "partitions", "gap")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mnist", type=Path, help="train-images-idx3-ubyte, plain or .gz")
    parser.add_argument("--only", nargs="+", choices=parts, default=parts)
    parser.add_argument("--out", type=Path, default=GOLDEN)
    options = parser.parse_args()
    if options.mnist is None and {"kmeans", "scaler"} & set(options.only):
        parser.error("the kmeans and scaler parts need --mnist")
    if "kmeans" in options.only:
        make_kmeans(options.out / "kmeans", options.mnist)
    if "scaler" in options.only:
        make_scaler(options.out / "scaler", options.mnist)
    if "elbow" in options.only:
        make_elbow(options.out / "elbow")
    if "contingency" in options.only:
        make_contingency(options.out / "contingency")
    if "kneedle" in options.only:
        make_kneedle(options.out / "kneedle")
    if "partitions" in options.only:
        make_partitions(options.out / "partitions")
    if "gap" in options.only:
        make_gap(options.out / "gap")


if __name__ == "__main__":
    main()
