"""What both sections need: kscan itself, and the rows that it clusters."""

import json
import os
import pathlib
import subprocess

# One thread a process. Before numpy is imported, so import this first.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np  # noqa: E402  (after the thread counts)
from sklearn.preprocessing import StandardScaler  # noqa: E402

TARGET = pathlib.Path(__file__).resolve().parents[2] / "target"


def kscan(*args):
    """Runs a command of kscan; what it prints is dropped."""
    command = [TARGET / "release" / "kscan-coord", *args]
    subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)


def scan(folder, *args):
    """Makes a scan in `folder`; its scan.json."""
    kscan("run", *args, "--out", folder, "-q")
    return json.loads((folder / "scan.json").read_text())


def normalised(data, scale, scratch):
    """The rows of `data`, float32 [n, d], scaled by scikit-learn's StandardScaler unless `scale` is
    "none"."""
    raw = scratch / "raw.npy"
    kscan("data", "export", data, "--out", raw)
    rows = np.load(raw)
    rows = rows.reshape(len(rows), -1).astype(np.float32)
    return rows if scale == "none" else StandardScaler().fit_transform(rows)
