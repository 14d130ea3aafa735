"""kscan against its rivals; see `run` beside this. Prints Markdown.

Every comparison alternates the contestants within one run, several times, and quotes medians; a
ratio is the rival's median over kscan's, so above 1 kscan is faster. All have one thread a process,
the same rows, and, where time an iteration is compared, the same first centroids.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))
import scans  # noqa: E402  (it lies beside this folder)

SECTIONS = ["whole", "iteration", "start", "shapes", "growth"]


def call(*args):
    """Runs a rival's script; the JSON object that it prints."""
    done = subprocess.run(
        [sys.executable, *map(str, args)], check=True, stdout=subprocess.PIPE, cwd=HERE
    )
    return json.loads(done.stdout.splitlines()[-1])


def kscan(scratch, *args):
    """Runs a scan; its scan.json. The folder is removed again."""
    out = pathlib.Path(scratch) / "scan"
    document = scans.scan(out, *args)
    shutil.rmtree(out)
    return document


def alternate(contestants, repeats):
    """Calls each of {name: function} in turn, `repeats` times; {name: [results]}."""
    results = {name: [] for name in contestants}
    for _ in range(repeats):
        for name, contest in contestants.items():
            results[name].append(contest())
    return results


def median(results, key):
    return statistics.median(result[key] for result in results)


def table(header, rows):
    print("| " + " | ".join(header) + " |")
    print("| " + " | ".join("---" for _ in header) + " |")
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")
    print(flush=True)


def mnist(scratch):
    """The raw pixels, and the rows scaled by scikit-learn, as files."""
    from sklearn.preprocessing import StandardScaler

    raw = pathlib.Path(scratch) / "mnist.npy"
    scaled = pathlib.Path(scratch) / "mnist-scaled.npy"
    if not scaled.exists():
        scans.kscan("data", "export", "mnist", "--out", raw)
        pixels = np.load(raw)
        np.save(
            scaled,
            StandardScaler().fit_transform(pixels.reshape(len(pixels), -1).astype(np.float32)),
        )
    return raw, scaled


def whole(scratch, options):
    """The notebook's job, from the start of the command to its last file."""
    raw, _ = mnist(scratch)

    def ours():
        scan = kscan(scratch, "mnist", "--n-init", options.n_init, "--n-proc", options.n_proc)
        return {
            "wall_s": scan["timing"]["wall_s"],
            "n_iter": sum(run["n_iter"] for run in scan["runs"]),
            "best": {str(best["k"]): best["inertia"] for best in scan["best"]},
        }

    def rival(name):
        return lambda: call("whole.py", name, options.n_proc, options.n_init, raw)

    rivals = {"scikit-learn": rival("scikit-learn"), "intelex": rival("intelex")}
    results = alternate({"kscan": ours, **rivals}, options.repeats)
    own = median(results["kscan"], "wall_s")
    print(f"## The whole job: MNIST, k = 5..15, {options.n_init} inits, {options.n_proc} at a time\n")
    table(
        ["", "wall s", "iterations", "ratio"],
        [
            (name, f"{wall:.2f}", f"{median(found, 'n_iter'):.0f}", f"{wall / own:.1f}")
            for name, found in results.items()
            for wall in [median(found, "wall_s")]
        ],
    )
    table(
        ["k", *results],
        [
            (k, *(f"{found[0]['best'][str(k)]:,.0f}" for found in results.values()))
            for k in range(5, 16)
        ],
    )


def fits(scratch, rows, k, names, repeats, max_iter=300, tol=1e-4, pixels=None):
    """One fit from the same first centroids by kscan and `names`; {name: [results]}.

    `rows` are what rivals are given. Where they are scaled `pixels`, kscan is given
    those too, and scales them itself.
    """
    data = np.load(rows, mmap_mode="r")
    picked = np.random.default_rng(k).choice(len(data), k, replace=False)
    init = np.ascontiguousarray(data[np.sort(picked)]).astype(np.float32)
    init_npy = pathlib.Path(scratch) / "init.npy"
    init_npz = pathlib.Path(scratch) / "init.npz"
    np.save(init_npy, init)
    np.savez(init_npz, **{f"k{k}": init})

    def ours(source=rows, scale="none"):
        scan = kscan(
            scratch, source, "--scale", scale, "--k-low", k, "--k-high", k, "--n-init", 1,
            "--n-proc", 1, "--init", init_npz, "--max-iter", max_iter, "--tol", tol,
        )  # fmt: skip
        run = scan["runs"][0]
        return {
            "fit_s": run["iterate_s"],
            "n_iter": run["n_iter"],
            "inertia": run["inertia"],
            "prepare_s": scan["timing"]["prepare_s"],
        }

    def rival(name):
        # faiss has no stopping rule: it is given as many iterations as kscan needed.
        iterations = ours()["n_iter"] if name == "faiss" else max_iter
        return lambda: call("rival.py", name, rows, init_npy, k, 0, iterations, tol)

    contestants = {"kscan": ours}
    if pixels is not None:
        contestants = {"kscan": lambda: ours(pixels, "standard"), "kscan, scaled file": ours}
    return alternate({**contestants, **{name: rival(name) for name in names}}, repeats)


def comparison(results):
    """Cells: milliseconds an iteration of each, then each rival's ratio."""
    each = {
        name: statistics.median(1000 * r["fit_s"] / r["n_iter"] for r in found)
        for name, found in results.items()
    }
    times = [f"{ms:.2f} ({median(results[name], 'n_iter'):.0f})" for name, ms in each.items()]
    return times + [f"{ms / each['kscan']:.1f}" for name, ms in each.items() if name != "kscan"]


def iteration(scratch, options):
    """Time an iteration on MNIST from the same first centroids."""
    _, scaled = mnist(scratch)
    rivals = ["scikit-learn", "intelex", "faiss"]
    names = ["kscan, scaled file", *rivals]
    print("## Milliseconds an iteration (iterations), MNIST, same first centroids\n")
    found = [(k, fits(scratch, scaled, k, rivals, options.repeats, pixels="mnist")) for k in (5, 10, 15)]
    table(
        ["k", "kscan", *names, *(f"{name} ratio" for name in names)],
        [(k, *comparison(results)) for k, results in found],
    )


def start(scratch, options):
    """What happens before the first iteration."""
    scans = [
        kscan(scratch, "mnist", "--n-init", 1, "--max-iter", 1, "--n-proc", options.n_proc)
        for _ in range(options.repeats)
    ]
    loads = [1000 * run["load_s"] for scan in scans for run in scan["runs"]]
    seeds = [1000 * run["seed_s"] for scan in scans for run in scan["runs"]]
    print("## Before the first iteration, MNIST\n")
    table(
        ["", "median"],
        [
            ("reading, normalising and sharing, s",
             f"{statistics.median(scan['timing']['prepare_s'] for scan in scans):.2f}"),
            ("a worker's start to its seeding, ms", f"{statistics.median(loads):.2f}"),
            ("seeding, k = 5..15, ms", f"{statistics.median(seeds):.2f}"),
        ],
    )  # fmt: skip


def digits(_):
    from sklearn.datasets import load_digits
    from sklearn.preprocessing import StandardScaler

    return StandardScaler().fit_transform(load_digits().data.astype(np.float32))


def noise(rng):
    return rng.standard_normal((100_000, 64), dtype=np.float32)


def blobs(rng):
    centers = rng.uniform(-10, 10, (32, 16)).astype(np.float32)
    return centers[rng.integers(32, size=1_000_000)] + rng.standard_normal(
        (1_000_000, 16), dtype=np.float32
    )


def embeddings(rng):
    """Unit vectors around 500 topics of unequal size in 768 dimensions, with a spectrum that falls
    as 1/sqrt(i), as sentence embeddings have it."""
    spectrum = (1 / np.sqrt(np.arange(1, 769))).astype(np.float32)
    topics = rng.standard_normal((500, 768), dtype=np.float32) * spectrum
    weights = rng.pareto(1.5, 500) + 0.1
    chosen = rng.choice(500, 100_000, p=weights / weights.sum())
    rows = topics[chosen] + 0.6 * spectrum * rng.standard_normal((100_000, 768), dtype=np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def wide(rng):
    return rng.standard_normal((20_000, 64), dtype=np.float32) @ rng.standard_normal(
        (64, 4096), dtype=np.float32
    ) + rng.standard_normal((20_000, 4096), dtype=np.float32)


def shapes(scratch, options):
    """Shapes where the tricks may not help."""
    names = ["scikit-learn", "intelex", "faiss"]
    print("## Milliseconds an iteration (iterations), other shapes\n")
    rows = []
    for name, make, ks in [
        ("digits", digits, [10]),
        ("100,000 x 64 isotropic noise", noise, [10]),
        ("1,000,000 x 16 blobs", blobs, [16]),
        ("100,000 x 768 embeddings", embeddings, [16, 64, 256]),
        ("20,000 x 4,096", wide, [10]),
    ]:
        path = pathlib.Path(scratch) / "rows.npy"
        np.save(path, np.ascontiguousarray(make(np.random.default_rng(1)), dtype=np.float32))
        for k in ks:
            results = fits(scratch, path, k, names, options.repeats, max_iter=50)
            rows.append((name, k, *comparison(results)))
    table(["data", "k", "kscan", *names, *(f"{name} ratio" for name in names)], rows)


def growth(scratch, options):
    """Time and memory with n, d and k doubled four times, from 10,000 x 64 and k = 8."""
    print("## Growth: blobs, 25 iterations at most\n")
    rows = []
    for axis in ("n", "d", "k"):
        for doubling in range(5):
            size = {"n": 10_000, "d": 64, "k": 8}
            size[axis] <<= doubling
            rng = np.random.default_rng(2)
            centers = rng.uniform(-3, 3, (64, size["d"])).astype(np.float32)
            data = centers[rng.integers(64, size=size["n"])] + rng.standard_normal(
                (size["n"], size["d"]), dtype=np.float32
            )
            path = pathlib.Path(scratch) / "rows.npy"
            np.save(path, data)
            runs = [
                kscan(
                    scratch, path, "--k-low", size["k"], "--k-high", size["k"], "--n-init", 1,
                    "--n-proc", 1, "--max-iter", 25, "--tol", 0,
                )["runs"][0]
                for _ in range(options.repeats)
            ]  # fmt: skip
            rows.append((
                f"{size['n']:,}", size["d"], size["k"],
                f"{statistics.median(1000 * r['seed_s'] for r in runs):.1f}",
                f"{statistics.median(1000 * r['iterate_s'] / r['n_iter'] for r in runs):.2f}",
                f"{max(r['private_bytes'] for r in runs) / 1e6:.1f}",
            ))  # fmt: skip
    table(["n", "d", "k", "seeding ms", "ms an iteration", "private MB"], rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections, by comma")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--n-proc", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--n-init", type=int, default=10, help="of the whole job")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        for section in options.only.split(","):
            if section not in SECTIONS:
                parser.error(f"no section {section!r}: {', '.join(SECTIONS)}")
            globals()[section](scratch, options)


if __name__ == "__main__":
    main()
