"""Writes the built-in set `digits` as gzip-compressed IDX files, next to this script.

    python make.py          (needs numpy and scikit-learn; made with scikit-learn 1.9.1)

The output has no time stamps or names in it; what it decompresses to is checked by the crate's
tests.
"""

import gzip
import pathlib
import struct

import numpy
from sklearn.datasets import load_digits

UBYTE = 0x08


def write_idx(path, values):
    """Writes `values` as u8; refuses values that u8 cannot hold exactly."""
    exact = values.astype(numpy.uint8)
    assert (exact == values).all()
    header = struct.pack(">BBBB", 0, 0, UBYTE, exact.ndim)
    header += struct.pack(f">{exact.ndim}I", *exact.shape)
    path.write_bytes(gzip.compress(header + exact.tobytes(), 9, mtime=0))


here = pathlib.Path(__file__).parent
digits = load_digits()
write_idx(here / "images-idx3-ubyte.gz", digits.images)
write_idx(here / "labels-idx1-ubyte.gz", digits.target)
