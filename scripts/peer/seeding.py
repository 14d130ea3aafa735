"""Where greedy k-means++ leads: the inertia of many runs on MNIST, kscan's and scikit-learn's.

Makes one scan of k = 5, 10, 15 with an initialisation a seed, and fits scikit-learn's
`KMeans(init="k-means++", n_init=1)` on the same float32 rows for as many seeds. Prints mean and
quartiles of the final inertia, and the p of a one-sided Mann-Whitney test for "kscan's is worse";
exit code 1 where that is below 0.01. scikit-learn's fits are kept in target/peer: a second call
goes on where the first one was stopped.

scikit-learn adds its inertia up in float32, which is off by more than runs in the same optimum
differ. So the inertia here is that of its labels and centroids, in float64 by direct differences.

That candidates are drawn in proportion to D² needs no measurement here: kscan draws them by
rejection from a bound on the exact D² (`kscan_kmeans::seeding`), which differs from that by no more
than the rounding of cumulative sums and random numbers in binary64: some n * 2^-53 in total
variation, 1e-11 on MNIST. A unit test there, `drawing_follows_squared_distances_either_way`, holds
200,000 draws against the probabilities: less than 0.5 % apart in total variation, of which 0.15 % is
what so many exact draws are apart on the average.
"""

import argparse
import csv
import pathlib
import sys
import tempfile

import kscan  # first: it sets the number of threads
import numpy as np
import sklearn
from scipy.stats import mannwhitneyu
from sklearn.cluster import KMeans

KS = (5, 10, 15)
FITS = kscan.TARGET / "peer" / f"scikit-learn-{sklearn.__version__}.csv"
WORSE = 0.01


def inertia(rows, labels, centers):
    """In float64, of float32 rows and centroids."""
    return sum(
        float(np.square(rows[labels == label].astype(np.float64) - center).sum())
        for label, center in enumerate(centers.astype(np.float64))
    )


def fits(rows, seeds):
    """Yields (k, inertia) of scikit-learn's fits: those of the file, then new ones, which are added
    to it."""
    FITS.parent.mkdir(exist_ok=True)
    with FITS.open("a+", newline="") as file:
        file.seek(0)
        done = {(int(k), int(seed)): float(inertia) for k, seed, inertia in csv.reader(file)}
        for seed in range(seeds):
            for k in KS:
                if (k, seed) not in done:
                    peer = KMeans(k, n_init=1, random_state=seed, algorithm="lloyd").fit(rows)
                    done[k, seed] = inertia(rows, peer.labels_, peer.cluster_centers_)
                    csv.writer(file).writerow([k, seed, repr(done[k, seed])])
                    file.flush()
                yield k, done[k, seed]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=200)
    options = parser.parse_args()
    own, peer = {k: [] for k in KS}, {k: [] for k in KS}
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        rows = kscan.normalised("mnist", "standard", scratch)
        for k, value in fits(rows, options.seeds):
            peer[k].append(value)
        document = kscan.scan(
            scratch / "scan", "mnist", "--k-low", min(KS), "--k-high", max(KS), "--k-step", 5,
            "--n-init", options.seeds,
        )  # fmt: skip
    for run in document["runs"]:
        own[run["k"]].append(run["inertia"])
    print("| k | | seeds | mean | least | quartile | median | quartile | p of \"worse\" |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    worse = False
    for k in KS:
        p = mannwhitneyu(own[k], peer[k], alternative="greater").pvalue
        worse |= p < WORSE
        for name, found, last in (("kscan", own[k], f"{p:.3f}"), ("scikit-learn", peer[k], "")):
            cells = [np.mean(found), *np.quantile(found, [0, 0.25, 0.5, 0.75])]
            figures = " | ".join(f"{cell:,.0f}" for cell in cells)
            print(f"| {k} | {name} | {len(found)} | {figures} | {last} |")
    sys.exit(1 if worse else 0)


if __name__ == "__main__":
    main()
