"""The notebook's whole job by a rival: every k from 5 to 15, ten seeds each, a process a run.

    python whole.py NAME N_PROC N_INIT RAW.npy

Prints one JSON object: wall_s, n_iter (all runs together), best ({k: inertia}). The form is the
notebook's with its faults mended: the data is read and scaled once, the processes are forked with
it, at most N_PROC at a time, each with its own seed and one thread.
"""

import json
import os
import sys
import time

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import multiprocessing  # noqa: E402  (after the thread counts)


def one(job):
    """Does one run; what it sends back is what kscan's workers send."""
    k, init_id = job
    if NAME == "intelex":
        import daal4py

        # Its threads heed no environment variable.
        daal4py.daalinit(1)
    from sklearn.cluster import KMeans

    seed = 1000 * k + init_id
    model = KMeans(k, n_init=1, random_state=seed, algorithm="lloyd").fit(ROWS)
    return k, float(model.inertia_), int(model.n_iter_), model.cluster_centers_


NAME = None
ROWS = None  # both set before the processes are forked, which then share them


def main():
    global NAME, ROWS
    NAME, n_proc, n_init, raw = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    start = time.perf_counter()
    import numpy as np

    if NAME == "intelex":
        from sklearnex import patch_sklearn

        patch_sklearn(verbose=False)
    from sklearn.preprocessing import StandardScaler

    pixels = np.load(raw)
    pixels = pixels.reshape(len(pixels), -1).astype(np.float32)
    ROWS = StandardScaler().fit_transform(pixels)
    jobs = [(k, init_id) for k in range(5, 16) for init_id in range(n_init)]
    best, n_iter = {}, 0
    context = multiprocessing.get_context("fork")
    with context.Pool(n_proc, maxtasksperchild=1) as pool:
        for k, inertia, iterations, _ in pool.imap_unordered(one, jobs, chunksize=1):
            best[k] = min(inertia, best.get(k, inertia))
            n_iter += iterations
    wall = time.perf_counter() - start
    print(json.dumps({"wall_s": wall, "n_iter": n_iter, "best": best}))


if __name__ == "__main__":
    main()
