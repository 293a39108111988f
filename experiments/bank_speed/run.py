"""Cost of adding and searching keys through `KeyIndex`, against bare FAISS doing the same calls.

Run: OMP_NUM_THREADS=1 python experiments/bank_speed/run.py   (about two minutes)

CPU time of one process on one thread; A and B alternate round by round, so that a busy machine hits both; the reported
ratio is the median over rounds of (KeyIndex / FAISS). FAISS against itself, measured the same way, says how much of a
ratio is noise.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy and faiss start their thread pools
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import faiss
import numpy as np

from lts_jax.memory.index import KeyIndex
from lts_jax.storage import write_json

WIDTH = 384
NUM_NEIGHBORS = 5


def measure(num_entries: int, num_searches: int, num_rounds: int) -> dict[str, object]:
    """CPU seconds and ratios of three kinds of work: only adding, only searching, and both in turn."""
    generator = np.random.default_rng(0)
    vectors = _unit(generator.normal(size=(num_entries, WIDTH)))
    queries = _unit(generator.normal(size=(num_searches, WIDTH)))
    full = {"key_index": KeyIndex(WIDTH, "faiss-cpu"), "faiss": faiss.IndexFlatIP(WIDTH)}
    full["key_index"].extend(vectors)
    full["faiss"].add(vectors)
    every = max(1, num_entries // num_searches)
    work: dict[str, tuple[Callable[[], float], Callable[[], float]]] = {
        "add": (lambda: _add_key_index(vectors), lambda: _add_faiss(vectors)),
        "search": (
            lambda: _search_key_index(full["key_index"], queries),
            lambda: _search_faiss(full["faiss"], queries),
        ),
        "add_and_search": (
            lambda: _both_key_index(vectors, queries, every),
            lambda: _both_faiss(vectors, queries, every),
        ),
    }
    results: dict[str, object] = {}
    for name, (ours, bare) in work.items():
        ours(), bare()  # warm up
        rounds = [(ours(), bare(), bare()) for _ in range(num_rounds)]
        ratios = [first / second for first, second, _ in rounds]
        deciles = quantiles(ratios, n=10)
        results[name] = {
            "key_index_cpu_seconds": round(median(first for first, _, _ in rounds), 4),
            "faiss_cpu_seconds": round(median(second for _, second, _ in rounds), 4),
            "ratio_median": round(median(ratios), 3),
            "ratio_p10": round(deciles[0], 3),
            "ratio_p90": round(deciles[-1], 3),
            "faiss_against_itself": round(median(second / third for _, second, third in rounds), 3),
        }
    return results


def main() -> None:
    """Measure, print a table, and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--entries", type=int, default=10_000)
    parser.add_argument("--searches", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=9, help="at least 7")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "bank_speed.json")
    arguments = parser.parse_args()
    if arguments.rounds < 7 or not 1 <= arguments.searches <= arguments.entries:
        sys.exit("expected --rounds at least 7, and --searches between 1 and --entries")
    faiss.omp_set_num_threads(1)
    results = measure(arguments.entries, arguments.searches, arguments.rounds)
    header = {
        "entries": arguments.entries,
        "searches": arguments.searches,
        "width": WIDTH,
        "num_neighbors": NUM_NEIGHBORS,
        "rounds": arguments.rounds,
        "clock": "process_time, one thread",
        "faiss": faiss.__version__,
        "numpy": np.__version__,
        "python": sys.version.split()[0],
    }
    print(f"{'work':16}{'KeyIndex s':>12}{'FAISS s':>10}{'ratio':>8}{'p10':>7}{'p90':>7}{'FAISS/FAISS':>13}")
    for name, row in results.items():
        print(f"{name:16}" + "{:>12}{:>10}{:>8}{:>7}{:>7}{:>13}".format(*row.values()))
    write_json(arguments.out, header | {"results": results})
    print(f"written to {arguments.out}")


def _unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def _add_key_index(vectors: np.ndarray) -> float:
    index = KeyIndex(WIDTH, "faiss-cpu")
    start = time.process_time()
    for vector in vectors:
        index.add(vector)
    return time.process_time() - start


def _add_faiss(vectors: np.ndarray) -> float:
    index = faiss.IndexFlatIP(WIDTH)
    start = time.process_time()
    for vector in vectors:
        index.add(vector[None])
    return time.process_time() - start


def _search_key_index(index: KeyIndex, queries: np.ndarray) -> float:
    start = time.process_time()
    for query in queries:
        index.search(query, NUM_NEIGHBORS)
    return time.process_time() - start


def _search_faiss(index: faiss.IndexFlatIP, queries: np.ndarray) -> float:
    start = time.process_time()
    for query in queries:
        index.search(query[None], NUM_NEIGHBORS)
    return time.process_time() - start


def _both_key_index(vectors: np.ndarray, queries: np.ndarray, every: int) -> float:
    index = KeyIndex(WIDTH, "faiss-cpu")
    start = time.process_time()
    for place, vector in enumerate(vectors):
        index.add(vector)
        if place % every == 0:
            index.search(queries[place // every % len(queries)], NUM_NEIGHBORS)
    return time.process_time() - start


def _both_faiss(vectors: np.ndarray, queries: np.ndarray, every: int) -> float:
    index = faiss.IndexFlatIP(WIDTH)
    start = time.process_time()
    for place, vector in enumerate(vectors):
        index.add(vector[None])
        if place % every == 0:
            index.search(queries[place // every % len(queries)][None], NUM_NEIGHBORS)
    return time.process_time() - start


if __name__ == "__main__":
    main()
