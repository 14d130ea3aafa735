"""What both sections need: kscan itself, and the rows that it clusters."""

import os
import pathlib
import sys

# One thread a process. Before numpy is imported, so import this first.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np  # noqa: E402  (after the thread counts)
from sklearn.preprocessing import StandardScaler  # noqa: E402

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))
from scans import TARGET, kscan, scan  # noqa: E402, F401  (the latter two for the sections)


def normalised(data, scale, scratch):
    """The rows of `data`, float32 [n, d], scaled by scikit-learn's StandardScaler unless `scale` is
    "none"."""
    raw = scratch / "raw.npy"
    kscan("data", "export", data, "--out", raw)
    rows = np.load(raw)
    rows = rows.reshape(len(rows), -1).astype(np.float32)
    return rows if scale == "none" else StandardScaler().fit_transform(rows)
