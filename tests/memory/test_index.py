"""The index against an oracle of thirty lines, its refusals, and threads that add while others search."""

import threading
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lts_jax.errors import UserError
from lts_jax.memory import index as index_module
from lts_jax.memory.index import KeyIndex

BACKENDS = ["numpy", pytest.param("faiss-cpu", marks=pytest.mark.skipif(not index_module.load_faiss(), reason="faiss"))]


class _OracleBank:
    """A dictionary of vectors, searched by sorting everything."""

    def __init__(self) -> None:
        self.vectors: dict[int, np.ndarray] = {}

    def add(self, vector: np.ndarray) -> None:
        self.vectors[len(self.vectors)] = vector.astype(np.float64)

    def search(self, query: np.ndarray, num_neighbors: int) -> list[tuple[int, float]]:
        scored = [(number, float(vector @ query)) for number, vector in self.vectors.items()]
        return sorted(scored, key=lambda pair: -pair[1])[:num_neighbors]


_FINITE = st.floats(-4, 4, width=32)
_VECTOR = st.lists(_FINITE, min_size=3, max_size=3).map(lambda numbers: np.array(numbers, np.float32))
_BAD = st.sampled_from([np.nan, np.inf, -np.inf])
_OPERATION = st.one_of(
    st.tuples(st.just("add"), _VECTOR),
    st.tuples(st.just("extend"), st.lists(_VECTOR, max_size=70)),
    st.tuples(st.just("search"), st.tuples(_VECTOR, st.integers(1, 90))),
    st.tuples(st.just("add bad"), st.tuples(_VECTOR, st.integers(0, 2), _BAD)),
)


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=60, deadline=None)
@given(operations=st.lists(_OPERATION, max_size=25))
def test_any_sequence_agrees_with_the_oracle(backend: str, operations: list[tuple[str, Any]]) -> None:
    index, oracle = KeyIndex(3, backend), _OracleBank()
    for operation, value in operations:
        if operation == "add":
            index.add(value)
            oracle.add(value)
        elif operation == "extend":
            index.extend(np.array(value, np.float32).reshape(-1, 3))
            for vector in value:
                oracle.add(vector)
        elif operation == "search":
            _assert_same_neighbours(index, oracle, *value)
        else:
            vector, place, bad = value
            vector[place] = bad
            with pytest.raises(ValueError, match="got NaN, infinity"):
                index.add(vector)
        assert len(index) == len(oracle.vectors)


def _assert_same_neighbours(index: KeyIndex, oracle: _OracleBank, query: np.ndarray, num_neighbors: int) -> None:
    ids, scores = index.search(query, num_neighbors)
    expected = oracle.search(query.astype(np.float64), num_neighbors)
    assert len(ids) == len(scores) == len(expected)
    assert len(set(ids.tolist())) == len(ids)  # with the range below: never -1, never twice
    assert all(0 <= number < len(oracle.vectors) for number in ids.tolist())
    # Equal scores may come in any order, so each id is held to its own score and the scores to the oracle's order.
    np.testing.assert_allclose(scores, [score for _, score in expected], atol=1e-4)
    np.testing.assert_allclose(scores, [oracle.vectors[number] @ query for number in ids.tolist()], atol=1e-4)


@pytest.mark.parametrize("backend", BACKENDS)
def test_neighbours_by_hand(backend: str) -> None:
    index = KeyIndex(2, backend)
    for row in ([1.0, 0.0], [0.0, 1.0], [0.6, 0.8]):
        index.add(np.array(row, np.float32))
    ids, scores = index.search(np.array([1.0, 0.0], np.float32), 2)
    assert ids.tolist() == [0, 2]
    assert scores == pytest.approx([1.0, 0.6])
    assert (ids.dtype, scores.dtype) == (np.int64, np.float32)
    assert index.search(np.array([0.0, 1.0], np.float32), 9)[0].tolist() == [1, 2, 0]


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_empty_index_finds_nothing(backend: str) -> None:
    ids, scores = KeyIndex(4, backend).search(np.ones(4, np.float32), 3)
    assert (ids.shape, scores.shape, ids.dtype, scores.dtype) == ((0,), (0,), np.int64, np.float32)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("vector", "problem"),
    [
        (np.ones(3), "float32, got float64"),
        (np.ones(3, np.int32), "float32, got int32"),
        (np.ones(2, np.float32), r"shape \[3\], got \[2\]"),
        (np.ones((1, 3), np.float32), r"shape \[3\], got \[1, 3\]"),
        (np.array([0, np.nan, 0], np.float32), "got NaN, infinity"),
        (np.array([0, -np.inf, 0], np.float32), "got NaN, infinity"),
    ],
)
def test_bad_vectors_are_refused_everywhere_and_change_nothing(backend: str, vector: np.ndarray, problem: str) -> None:
    index = KeyIndex(3, backend)
    index.add(np.ones(3, np.float32))
    with pytest.raises(ValueError, match=problem):
        index.add(vector)
    with pytest.raises(ValueError, match=problem):
        index.search(vector, 1)
    with pytest.raises(ValueError, match=r"float32|shape|NaN"):
        index.extend(np.stack([vector, vector]))
    assert len(index) == 1
    assert index.search(np.ones(3, np.float32), 5)[0].tolist() == [0]


@pytest.mark.filterwarnings("error")
def test_numbers_whose_products_overflow_are_refused() -> None:
    index = KeyIndex(2)
    with pytest.raises(ValueError, match="finite squared norm"):
        index.add(np.array([1e30, 0], np.float32))
    with pytest.raises(ValueError, match="finite squared norm"):
        index.extend(np.array([[1, 0], [1e30, 0]], np.float32))
    index.add(np.array([1.8e19, 0], np.float32))  # its square, 3.24e38, still fits
    assert len(index) == 1


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(UserError, match="unknown index backend 'faiss'"):
        KeyIndex(3, "faiss")
    with pytest.raises(UserError, match="dim: expected at least 1, got 0"):
        KeyIndex(0)
    with pytest.raises(ValueError, match="num_neighbors: expected at least 1, got 0"):
        KeyIndex(3).search(np.ones(3, np.float32), 0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_vector_may_change_after_it_was_added(backend: str) -> None:
    index = KeyIndex(2, backend)
    vector = np.array([1.0, 0.0], np.float32)
    index.add(vector)
    vector[:] = 5.0
    assert index.search(np.array([1.0, 1.0], np.float32), 1)[1].tolist() == [1.0]


@pytest.mark.parametrize("backend", BACKENDS)
def test_threads_may_add_and_search_at_once(backend: str) -> None:
    index = KeyIndex(8, backend)
    rows = np.random.default_rng(0).normal(size=(4, 500, 8)).astype(np.float32)
    problems: list[str] = []

    def search_many() -> None:
        for place in range(500):
            before = len(index)
            ids, _ = index.search(rows[0, place], 10)
            if len(ids) < min(10, before) or (len(ids) and (ids.min() < 0 or len(set(ids.tolist())) < len(ids))):
                problems.append(f"{before} {ids}")

    adders = [threading.Thread(target=lambda part: [index.add(row) for row in part], args=(part,)) for part in rows]
    threads = adders + [threading.Thread(target=search_many) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
    assert len(index) == 2000
    _, scores = index.search(rows[2, 7], 2000)
    np.testing.assert_allclose(np.sort(scores), np.sort(rows.reshape(-1, 8) @ rows[2, 7]), atol=1e-4)


class _FakeGpuResources:
    bytes = -1

    def setTempMemory(self, num_bytes: int) -> None:
        self.bytes = num_bytes


class _FakeGpuFaiss:
    """The surface of a GPU build: a flat index that only exists once it was moved to the device."""

    def __init__(self, num_gpus: int) -> None:
        self.get_num_gpus = lambda: num_gpus
        self.StandardGpuResources = _FakeGpuResources
        self.IndexFlatIP = lambda dim: SimpleNamespace(place="host")
        self.index_cpu_to_gpu = lambda resources, device, flat: SimpleNamespace(place=(resources, device, flat.place))


def test_the_gpu_is_used_when_the_build_and_a_gpu_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "load_faiss", lambda: _FakeGpuFaiss(1))
    index = KeyIndex(3)
    assert index.backend == "faiss-gpu"
    resources, device, place = index._store.place
    assert (device, place) == (0, "host")
    assert index._store.referenced_objects == [resources]
    assert resources.bytes == index_module.GPU_SCRATCH_BYTES
    assert KeyIndex(3, "faiss-cpu")._store.place == "host"


def test_a_gpu_build_without_a_gpu_runs_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "load_faiss", lambda: _FakeGpuFaiss(0))
    assert KeyIndex(3).backend == "faiss-cpu"
    with pytest.raises(UserError, match="faiss-gpu needs the package faiss-gpu and a GPU"):
        KeyIndex(3, "faiss-gpu")


def test_without_faiss_the_index_falls_back_to_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "load_faiss", lambda: None)
    assert KeyIndex(3).backend == "numpy"
    with pytest.raises(UserError, match="faiss-cpu needs the package faiss-cpu"):
        KeyIndex(3, "faiss-cpu")


def test_both_faiss_packages_at_once_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "_is_installed", lambda package: package in ("faiss-cpu", "faiss-gpu"))
    with pytest.raises(UserError, match="faiss-cpu and faiss-gpu are both installed"):
        index_module.load_faiss.__wrapped__()
