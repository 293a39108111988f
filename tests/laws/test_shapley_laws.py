"""The axioms that make a Shapley value one: efficiency, symmetry, dummy player; on sampled and on all permutations."""

from dataclasses import replace
from itertools import permutations

import jax
import numpy as np

from lts_jax.credit.replays import shapley
from lts_jax.trajectory import Coalitions, Trajectory

NUM_STEPS = 4
ORDERS = list(permutations(range(NUM_STEPS)))
COMPILED = jax.jit(shapley)


def game(worth_of: dict[frozenset[int], float]) -> Trajectory:
    """One rollout, one team, four admitted steps; every order of admission as a permutation of blocks of one."""
    shape = (1, 1, NUM_STEPS)
    ones, nothing = np.ones(shape, bool), np.zeros(shape, np.float32)
    values = [[worth_of[frozenset(order[:count])] for count in range(NUM_STEPS + 1)] for order in ORDERS]
    rewards = np.array([values], np.float32)
    return Trajectory(
        reward_agg_g=rewards[:, 0, -1],
        reward_first_g=np.zeros(1, np.float32),
        runtime_g=np.ones(1, np.float32),
        finish_seconds_gk=np.ones((1, 1), np.float32),
        action_gkt=ones.astype(np.int32),
        behavior_log_prob_gkt=nothing,
        decision_seconds_gkt=nothing,
        used_gkt=ones,
        num_other_readers_gkt=ones.astype(np.int32),
        first_pull_seconds_gkt=nothing,
        step_seconds_gkt=nothing,
        step_mask_gkt=ones,
        decision_mask_gkt=ones,
        rollout_mask_g=np.ones(1, bool),
        coalitions=Coalitions(
            np.array([[[np.argsort(order)] for order in ORDERS]], np.int32), rewards, np.zeros_like(rewards)
        ),
    )


def random_worth(seed: int) -> dict[frozenset[int], float]:
    rng = np.random.default_rng(seed)
    sets = {frozenset(order[:count]) for order in ORDERS for count in range(NUM_STEPS + 1)}
    return {entries: float(rng.integers(0, 5)) / 4 for entries in sorted(sets, key=sorted)}


def credit_of(worth_of: dict[frozenset[int], float]) -> np.ndarray:
    return np.asarray(COMPILED(game(worth_of)))[0, 0]


def test_credit_adds_up_to_what_the_whole_bank_is_worth() -> None:
    for seed in range(20):
        worth_of = random_worth(seed)
        whole = worth_of[frozenset(range(NUM_STEPS))] - worth_of[frozenset()]
        assert abs(credit_of(worth_of).sum() - whole) < 1e-5


def test_credit_adds_up_for_every_permutation_however_coarse_its_blocks() -> None:
    single = jax.jit(shapley)
    for seed in range(20):
        rng, trajectory = np.random.default_rng(seed), game(random_worth(seed))
        blocks = rng.integers(0, 3, (1, 1, 1, NUM_STEPS)).astype(np.int32)
        values = np.concatenate([[0.0], rng.random(3)])
        for block in set(range(3)) - set(blocks.ravel().tolist()):
            values[block + 1] = values[block]  # a block without entries cannot change the rollout
        coarse = Coalitions(blocks, values[None, None].astype(np.float32), np.zeros((1, 1, 4), np.float32))
        credit = single(replace(trajectory, coalitions=coarse))
        assert abs(float(credit.sum()) - (values[-1] - values[0])) < 1e-5


def test_entries_that_can_be_exchanged_have_equal_credit() -> None:
    swap = {0: 1, 1: 0, 2: 2, 3: 3}
    for seed in range(20):
        worth_of = random_worth(seed)
        level = {s: (worth_of[s] + worth_of[frozenset(swap[i] for i in s)]) / 2 for s in worth_of}
        credit = credit_of(level)
        assert abs(credit[0] - credit[1]) < 1e-6


def test_an_entry_that_changes_nothing_has_no_credit() -> None:
    for seed in range(20):
        worth_of = random_worth(seed)
        credit = credit_of({s: worth_of[s - {3}] for s in worth_of})
        assert credit[3] == 0.0 and np.abs(credit).sum() > 0.0
