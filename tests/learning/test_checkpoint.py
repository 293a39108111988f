"""Checkpoints: bit for bit, whole or refused, and what a kill leaves behind does no harm."""

import random
import shutil
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from lts_jax.errors import UserError
from lts_jax.learning.checkpoint import CorruptCheckpoint, latest, restore, restore_number, save
from lts_jax.learning.settings import LearningSettings
from lts_jax.learning.state import TrainState, init_state, optimizer
from lts_jax.models.policy_network import PolicyNetwork


def network(width: int = 6) -> PolicyNetwork:
    def init(prng_key: jax.Array) -> dict:
        return {"a": jax.random.normal(prng_key, (width, 300)), "b": {"c": jnp.arange(4, dtype=jnp.int32)}}

    return PolicyNetwork(init, lambda *_: jnp.zeros(2), lambda *_: jnp.zeros(2), 1, "plain")


def state_of(seed: int, width: int = 6) -> TrainState:
    state = init_state(network(width), LearningSettings(), jax.random.key(seed))
    return replace(
        state, num_updates=jnp.asarray(seed, jnp.int32), opt_state=jax.tree.map(lambda x: x + seed, state.opt_state)
    )


def bits(state: TrainState) -> list[bytes]:
    plain = replace(state, prng_key=jax.random.key_data(state.prng_key))
    return [np.asarray(leaf).tobytes() + str(leaf.dtype).encode() for leaf in jax.tree.leaves(plain)]


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size)


def test_what_is_restored_is_what_was_saved_to_the_bit(tmp_path: Path) -> None:
    saved = state_of(3)
    odd = np.array([np.nan, -0.0, np.inf, 1e-45], np.float32)
    saved = replace(saved, params=saved.params | {"odd": jnp.asarray(odd)})
    cursor = {"iteration": 7, "order": [2, 0, 1], "name": "ü"}
    assert save(tmp_path, saved, cursor, "digest") == 1
    like = replace(state_of(9), params=state_of(9).params | {"odd": jnp.zeros(4)})
    state, restored_cursor = restore(tmp_path, like, config_digest="digest")
    assert bits(state) == bits(saved)
    assert jax.tree.structure(state) == jax.tree.structure(saved)
    assert restored_cursor == cursor
    # The restored random key goes on as the saved one would.
    np.testing.assert_array_equal(jax.random.uniform(state.prng_key), jax.random.uniform(saved.prng_key))


def test_resumed_updates_equal_uninterrupted_ones_to_the_bit(tmp_path: Path) -> None:
    @jax.jit
    def update(state: TrainState, gradient: jax.Array) -> TrainState:
        vector, unravel = ravel_pytree(state.params)
        change, opt_state = optimizer(LearningSettings()).update(gradient, state.opt_state, vector)
        return replace(state, params=unravel(vector + change), opt_state=opt_state, num_updates=state.num_updates + 1)

    plain = PolicyNetwork(
        lambda prng_key: jax.random.normal(prng_key, (50,)), *[lambda *_: jnp.zeros(2)] * 2, 1, "plain"
    )
    gradients = [jax.random.normal(jax.random.key(number), (50,)) for number in range(6)]
    straight = stopped = init_state(plain, LearningSettings(), jax.random.key(0))
    for gradient in gradients:
        straight = update(straight, gradient)
        save(tmp_path, update(stopped, gradient), {}, "digest")
        stopped, _ = restore(tmp_path, init_state(plain, LearningSettings(), jax.random.key(99)))
    assert bits(stopped) == bits(straight)


def test_the_newest_two_are_kept(tmp_path: Path) -> None:
    assert latest(tmp_path / "none") is None
    for seed in range(4):
        save(tmp_path, state_of(seed), {"seed": seed}, "digest")
    assert latest(tmp_path) == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "state_00000003",
        "state_00000003.json",
        "state_00000004",
        "state_00000004.json",
    ]
    assert restore(tmp_path, state_of(0))[1] == {"seed": 3}
    assert restore_number(tmp_path, 3, state_of(0))[1] == {"seed": 2}


def test_leftovers_of_a_killed_save_are_invisible_and_swept(tmp_path: Path) -> None:
    save(tmp_path, state_of(1), {"seed": 1}, "digest")
    # Killed after the arrays, before the manifest; killed inside Orbax; killed inside the manifest.
    shutil.copytree(tmp_path / "state_00000001", tmp_path / "state_00000002")
    (tmp_path / "state_00000002.orbax-checkpoint-tmp").mkdir()
    (tmp_path / ".state_00000002.json.12.tmp").write_text("{")
    assert latest(tmp_path) == 1
    assert restore(tmp_path, state_of(0))[1] == {"seed": 1}
    assert save(tmp_path, state_of(2), {"seed": 2}, "digest") == 2
    assert bits(restore(tmp_path, state_of(0))[0]) == bits(state_of(2))
    assert len(list(tmp_path.iterdir())) == 4


def test_no_flipped_bit_or_cut_file_is_restored_silently(tmp_path: Path) -> None:
    good, draw = state_of(1), random.Random(0)
    save(tmp_path / "source", good, {"seed": 1}, "digest")
    save(tmp_path / "source", state_of(2), {"seed": 2}, "digest")
    names = [path.relative_to(tmp_path / "source") for path in files_of(tmp_path / "source")]
    targets = [name for name in names if name.parts[0].startswith("state_00000002")]
    assert len(targets) > 5
    for attempt in range(3 * len(targets)):
        folder = tmp_path / f"copy{attempt}"
        shutil.copytree(tmp_path / "source", folder)
        path = folder / targets[attempt % len(targets)]
        content = bytearray(path.read_bytes())
        if attempt % 4 == 3:
            content = content[: draw.randrange(len(content))]
        else:
            content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        path.write_bytes(content)
        with pytest.raises(CorruptCheckpoint):
            restore_number(folder, 2, state_of(0))
        with pytest.warns(RuntimeWarning, match="passing over a damaged checkpoint"):
            state, cursor = restore(folder, state_of(0))
        assert (bits(state), cursor) == (bits(good), {"seed": 1})


def test_when_nothing_is_healthy_it_says_so(tmp_path: Path) -> None:
    save(tmp_path, state_of(1), {}, "digest")
    shutil.rmtree(tmp_path / "state_00000001")
    with (
        pytest.warns(RuntimeWarning, match="passing over"),
        pytest.raises(CorruptCheckpoint, match=r"no healthy checkpoint; the last problem: .*cannot be read"),
    ):
        restore(tmp_path, state_of(0))


def test_edited_manifests_are_found(tmp_path: Path) -> None:
    save(tmp_path, state_of(1), {"iteration": 1}, "digest")
    path = tmp_path / "state_00000001.json"
    path.write_text(path.read_text().replace('"iteration": 1', '"iteration": 2'))
    with pytest.raises(CorruptCheckpoint, match="is not what was written"):
        restore_number(tmp_path, 1, state_of(0))


def test_another_configuration_or_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no checkpoint here"):
        restore(tmp_path, state_of(0))
    save(tmp_path, state_of(1), {}, "digest")
    with pytest.raises(UserError, match="written by configuration digest, expected other"):
        restore(tmp_path, state_of(1), config_digest="other")
    with pytest.raises(UserError, match=r"another network or optimiser wrote this; different: .*params\.a"):
        restore(tmp_path, state_of(1, width=7))
