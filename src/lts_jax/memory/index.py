"""Exact nearest-neighbour search over key vectors: FAISS on a GPU, FAISS on the CPU, or plain NumPy.

An index is a cache of the bank's keys: it can be thrown away and rebuilt from them at any time. All backends give the
same neighbours, up to the order of scores that differ by rounding.
"""

from functools import cache
from importlib import metadata
from math import isfinite
from threading import Lock
from types import ModuleType
from typing import Any

import numpy as np

from lts_jax.errors import UserError

BACKENDS = ("auto", "faiss-gpu", "faiss-cpu", "numpy")
GPU_SCRATCH_BYTES = 16 * 2**20  # of one index; FAISS would reserve up to 1.5 GiB for each
MAX_GPU_NEIGHBORS = 2048  # FAISS's limit on a GPU; it raises beyond

_FLOAT32 = np.dtype(np.float32)
_BLOCK = 64  # single vectors that wait together


@cache
def load_faiss() -> ModuleType | None:
    """The faiss module, or None where none is installed.

    Raises:
        UserError: the CPU and the GPU package are both installed; they overwrite each other's files.
    """
    installed = [name for name in ("faiss-cpu", "faiss-gpu", "faiss-gpu-cu12") if _is_installed(name)]
    if len(installed) > 1:
        raise UserError(f"{' and '.join(installed)} are both installed and overwrite each other: uninstall one of them")
    try:
        import faiss
    except ModuleNotFoundError:
        return None
    return faiss


def has_faiss_gpu() -> bool:
    """True where faiss is a GPU build and sees a GPU."""
    faiss = load_faiss()
    return faiss is not None and hasattr(faiss, "StandardGpuResources") and faiss.get_num_gpus() > 0


class KeyIndex:
    """Inner-product index over float32 vectors [D], numbered 0, 1, 2, ... in order of addition.

    One lock stands before the backend: FAISS crashes when one thread adds while another searches, and its GPU
    resources must not even be shared by two searches. Single vectors wait in a small block and reach the backend
    together, at the latest before the next search, since a call of FAISS costs more than the copy.
    """

    __slots__ = ("_dim", "_lock", "_num_waiting", "_size", "_store", "_waiting", "backend")

    def __init__(self, dim: int, backend: str = "auto") -> None:
        """An empty index for vectors of width `dim`.

        `backend` "auto" takes the first of `BACKENDS` that is there; `self.backend` tells which it is.

        Raises:
            UserError: an unknown backend, or one that is not installed; a width below 1.
        """
        if dim < 1:
            raise UserError(f"dim: expected at least 1, got {dim}")
        self._dim = dim
        self._lock = Lock()
        self.backend = _chosen_backend(backend)
        self._store: Any = _empty_store(dim, self.backend)
        self._waiting = np.empty((_BLOCK, dim), np.float32)
        self._num_waiting = 0
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, vector: np.ndarray) -> None:
        """Add one vector, float32[D]; it is copied.

        Raises:
            ValueError: another dtype or width, NaN, infinity, or numbers so large that the squared norm overflows.
        """
        self._check(vector)
        with self._lock:
            if self._num_waiting == _BLOCK:
                self._flush()
            self._waiting[self._num_waiting] = vector
            self._num_waiting += 1
            self._size += 1

    def extend(self, vectors: np.ndarray) -> None:
        """Add vectors, float32[N, D], all or (after a `ValueError` as for `add`) none."""
        if vectors.ndim != 2:
            raise ValueError(f"vectors must have shape [N, {self._dim}], got {list(vectors.shape)}")
        if not len(vectors):
            return
        _check_values(vectors, (len(vectors), self._dim))
        with self._lock:
            self._flush()
            self._store.add(vectors)
            self._size += len(vectors)

    def search(self, query: np.ndarray, num_neighbors: int) -> tuple[np.ndarray, np.ndarray]:
        """The vectors with the largest inner products with `query`, float32[D], best first.

        On a GPU `num_neighbors` may be at most `MAX_GPU_NEIGHBORS`.

        Returns:
            ids int64[n] and scores float32[n], where n is `num_neighbors` or, if smaller, the size of the index.

        Raises:
            ValueError: `num_neighbors` below 1, or a query that `add` would refuse.
        """
        self._check(query)
        if num_neighbors < 1:
            raise ValueError(f"num_neighbors: expected at least 1, got {num_neighbors}")
        with self._lock:
            self._flush()
            if not self._size:
                return np.empty(0, np.int64), np.empty(0, np.float32)
            scores, ids = self._store.search(query[None], min(num_neighbors, self._size))
        return ids[0], scores[0]

    def _flush(self) -> None:
        if self._num_waiting:
            self._store.add(self._waiting[: self._num_waiting])
            self._num_waiting = 0

    def _check(self, vector: np.ndarray) -> None:
        # One number tells whether all are finite; vdot, other than dot, does not warn when it overflows.
        if vector.dtype != _FLOAT32 or vector.shape != (self._dim,) or not isfinite(np.vdot(vector, vector)):
            _check_values(vector, (self._dim,))


class _NumpyStore:
    """The part of faiss.IndexFlatIP that `KeyIndex` needs, over a matrix that doubles when it is full."""

    def __init__(self, dim: int) -> None:
        self.ntotal = 0
        self._rows = np.empty((16, dim), np.float32)

    def add(self, vectors: np.ndarray) -> None:
        size = self.ntotal + len(vectors)
        if size > len(self._rows):
            grown = np.empty((max(size, 2 * len(self._rows)), self._rows.shape[1]), np.float32)
            grown[: self.ntotal] = self._rows[: self.ntotal]
            self._rows = grown
        self._rows[self.ntotal : size] = vectors
        self.ntotal = size

    def search(self, queries: np.ndarray, num_neighbors: int) -> tuple[np.ndarray, np.ndarray]:
        scores = self._rows[: self.ntotal] @ queries[0]
        ids = np.arange(self.ntotal)
        if num_neighbors < self.ntotal:
            ids = np.argpartition(-scores, num_neighbors - 1)[:num_neighbors]
        ids = ids[np.lexsort((ids, -scores[ids]))]
        return scores[ids][None], ids[None]


def _empty_store(dim: int, backend: str) -> Any:
    faiss = load_faiss()
    if backend == "numpy" or faiss is None:
        return _NumpyStore(dim)
    flat = faiss.IndexFlatIP(dim)
    if backend != "faiss-gpu":
        return flat
    resources = faiss.StandardGpuResources()  # not to be shared between threads, so one for each index
    resources.setTempMemory(GPU_SCRATCH_BYTES)
    index = faiss.index_cpu_to_gpu(resources, 0, flat)
    index.referenced_objects = [resources]  # they must live as long as the index
    return index


def _chosen_backend(backend: str) -> str:
    if backend not in BACKENDS:
        raise UserError(f"unknown index backend {backend!r}: expected one of {', '.join(BACKENDS)}")
    if backend == "numpy":
        return backend
    found = "faiss-gpu" if has_faiss_gpu() else "numpy" if load_faiss() is None else "faiss-cpu"
    if backend == "faiss-gpu" and found != "faiss-gpu":
        raise UserError("index backend faiss-gpu needs the package faiss-gpu and a GPU: use auto, faiss-cpu or numpy")
    if backend == "faiss-cpu" and found == "numpy":
        raise UserError("index backend faiss-cpu needs the package faiss-cpu: install it, or use auto or numpy")
    return found if backend == "auto" else backend


def _check_values(vectors: np.ndarray, shape: tuple[int, ...]) -> None:
    if vectors.dtype != np.float32:
        raise ValueError(f"vectors: expected float32, got {vectors.dtype}")
    if vectors.shape != shape:
        raise ValueError(f"a vector must have shape {list(shape)}, got {list(vectors.shape)}")
    # Where squared norms are finite, so is every inner product (Cauchy-Schwarz), and FAISS never answers with id -1.
    if not np.isfinite(np.einsum("...d,...d->...", vectors, vectors)).all():
        raise ValueError("a vector must hold finite numbers with a finite squared norm, got NaN, infinity or overflow")


def _is_installed(package: str) -> bool:
    try:
        metadata.distribution(package)
    except metadata.PackageNotFoundError:
        return False
    return True
