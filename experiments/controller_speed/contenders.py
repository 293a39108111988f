"""Everything that is timed, as functions without arguments that end when their result is there."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from jax_side import (
    ANSWERS,
    SPARSITY_WEIGHT,
    TX,
    decisions_of,
    make,
    make_cached,
    make_decide,
    make_update,
    packed_loss,
    unpacked_loss,
)
from shapes import STEP_TOKENS, Shape
from torch_side import TorchController, torch_controller


def contenders_of(shape: Shape) -> tuple[dict[str, Callable[[], Any]], float]:
    """Contenders by name, and how far the two sides' logits differ."""
    device = "cuda" if shape.accelerator else "cpu"
    network, trained = make(shape)
    data = decisions_of(shape, 0)
    theirs = torch_controller(
        shape,
        network.frozen_arrays,
        {kind: one["kernel"] for kind, one in trained["projections"].items()},
        ANSWERS,
        device,
    )
    rows = {name: jnp.asarray(value) for name, value in data.items()}
    batch = _torch_rows(data, device)
    decide = make_decide(network)
    ours = decide(trained, *_decision_rows(data, shape.num_decisions))
    with torch.no_grad():
        other = theirs.logits(batch["query"], batch["key"], batch["num_keys"], batch["step"]).float().cpu().numpy()
    difference = float(np.abs(np.asarray(ours, np.float32) - other).max())
    work = _updates(shape, network, trained, rows, theirs, batch)
    work |= _decisions(shape, network, trained, theirs, device)
    return work, difference


def _updates(
    shape: Shape, network: Any, trained: Any, rows: dict[str, jax.Array], theirs: TorchController, batch: Any
) -> dict[str, Callable[[], Any]]:
    state = TX.init(trained)
    packed = make_update(packed_loss, network)
    unpacked = make_update(unpacked_loss, network)
    one_by_one = make_update(unpacked_loss, network, rows=1)
    count = shape.num_decisions

    def waited(update: Callable[..., Any]) -> Callable[[], Any]:
        return lambda: jax.block_until_ready(update(trained, state, rows))

    return {
        "packed_update": waited(packed),
        "packed_update_again": waited(packed),
        "unpacked_update": waited(unpacked),
        "unpacked_update_one_by_one": waited(one_by_one),
        "torch_update": lambda: theirs.update(batch, count, SPARSITY_WEIGHT),
        "torch_update_one_by_one": lambda: theirs.update(batch, 1, SPARSITY_WEIGHT),
    }


def _decisions(
    shape: Shape, network: Any, trained: Any, theirs: TorchController, device: str
) -> dict[str, Callable[[], Any]]:
    """One decision and 64 of different rollouts; new step tokens every time, as in use."""
    width = shape.qwen3.width
    generator = np.random.default_rng(1)
    steps = [generator.normal(size=(64, STEP_TOKENS, width)).astype(np.float32) * width**-0.5 for _ in range(8)]
    turn = iter(range(10**9))

    def fresh(num_rows: int) -> np.ndarray:
        return steps[next(turn) % len(steps)][:num_rows]

    def cached(num_rows: int, capacity: int, num_keys: int) -> Callable[[], Any]:
        run = make_cached(network, trained, num_rows, capacity, num_keys)
        return lambda: np.asarray(run(fresh(num_rows)))

    def whole(num_rows: int, num_keys: int) -> Callable[[], Any]:
        own = network if num_keys <= network.key_window else make(shape, key_window=num_keys)[0]
        decide = make_decide(own)
        query, key, count = _bank(width, num_rows, num_keys)
        rows = (jnp.asarray(query), jnp.asarray(key), jnp.asarray(count))
        return lambda: np.asarray(decide(trained, *rows, fresh(num_rows)))

    def usual(num_rows: int, num_keys: int) -> Callable[[], Any]:
        bank = [torch.tensor(one, device=device) for one in _bank(width, num_rows, num_keys)]
        bank[:2] = [one.to(next(theirs.projections.parameters()).dtype) for one in bank[:2]]

        def run() -> np.ndarray:
            step = torch.tensor(fresh(num_rows), device=device, dtype=bank[0].dtype)
            with torch.no_grad():
                return theirs.logits(*bank, step).cpu().numpy()

        return run

    return {
        "cached_10_keys": cached(1, 16, 10),
        "cached_76_keys": cached(1, 96, 76),
        "cached_500_keys": cached(1, 512, 500),
        "decide_76_keys": whole(1, 76),
        "decide_500_keys": whole(1, 500),
        "torch_decide_76_keys": usual(1, 76),
        "cached_64_rows": cached(64, 96, 60),
        "decide_64_rows": whole(64, 60),
        "torch_decide_64_rows": usual(64, 60),
    }


def _bank(width: int, num_rows: int, num_keys: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(2)
    query = generator.normal(size=(num_rows, width)).astype(np.float32) * width**-0.5
    key = generator.normal(size=(num_rows, num_keys, width)).astype(np.float32) * width**-0.5
    return query, key, np.full(num_rows, num_keys, np.int32)


def _decision_rows(data: dict[str, np.ndarray], count: int) -> tuple[np.ndarray, ...]:
    """Query, keys, number of keys and step of every decision, the bank repeated."""
    query = np.broadcast_to(data["query"], (count, *data["query"].shape))
    key = np.broadcast_to(data["key"], (count, *data["key"].shape))
    return query, key, data["num_keys"], data["step"]


def _torch_rows(data: dict[str, np.ndarray], device: str) -> dict[str, torch.Tensor]:
    names = ("query", "key", "num_keys", "step")
    rows = dict(zip(names, _decision_rows(data, len(data["num_keys"])), strict=True))
    rows |= {"action": data["action"], "credit": data["credit"]}
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    tensors = {name: torch.tensor(np.ascontiguousarray(value), device=device) for name, value in rows.items()}
    return {name: one.to(dtype) if name in ("query", "key", "step") else one for name, one in tensors.items()}
