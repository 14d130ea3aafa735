"""One K-means fit by a rival, in a process of its own.

    python rival.py NAME ROWS.npy INIT.npy|- K SEED MAX_ITER TOL

Prints one JSON object: fit_s, n_iter, inertia. NAME is scikit-learn, intelex or faiss. ROWS.npy
holds float32 rows that are clustered as they are; INIT.npy the first centroids, `-` lets the rival
choose them by its own k-means++. One thread. Loading the rows and the libraries is not timed: the
clock starts where a kscan worker's does, with the rows in reach and nothing computed.
"""

import json
import os
import sys
import time

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np  # noqa: E402  (after the thread counts)


def fit(name, rows, init, k, seed, max_iter, tol):
    """Returns (seconds, iterations, inertia)."""
    if name == "faiss":
        import faiss

        faiss.omp_set_num_threads(1)
        n, d = rows.shape
        kmeans = faiss.Kmeans(
            d, k, niter=max_iter, seed=seed, max_points_per_centroid=n, min_points_per_centroid=1
        )
        start = time.perf_counter()
        kmeans.train(rows, init_centroids=init)
        return time.perf_counter() - start, max_iter, float(kmeans.obj[-1])
    if name == "intelex":
        import daal4py
        from sklearnex import patch_sklearn

        # Its threads heed no environment variable.
        daal4py.daalinit(1)
        patch_sklearn(verbose=False)
    from sklearn.cluster import KMeans

    model = KMeans(
        k,
        init="k-means++" if init is None else init,
        n_init=1,
        random_state=seed,
        max_iter=max_iter,
        tol=tol,
        algorithm="lloyd",
    )
    start = time.perf_counter()
    model.fit(rows)
    return time.perf_counter() - start, int(model.n_iter_), float(model.inertia_)


def main():
    name, rows, init, k, seed, max_iter, tol = sys.argv[1:]
    # Mapped, as kscan's workers have it, but touched once so that no fit pays for the disk.
    rows = np.load(rows, mmap_mode="r")
    float(rows.sum(dtype=np.float64))
    rows = np.ascontiguousarray(rows)
    init = None if init == "-" else np.load(init)
    seconds, n_iter, inertia = fit(name, rows, init, int(k), int(seed), int(max_iter), float(tol))
    print(json.dumps({"fit_s": seconds, "n_iter": n_iter, "inertia": inertia}))


if __name__ == "__main__":
    main()
