"""Whether a credit scheme keeps its contract, and what it needs, found out before any training starts."""

from functools import lru_cache
from typing import Any

import jax
import numpy as np

from lts_jax.credit.contract import CreditFn
from lts_jax.errors import UserError, describe
from lts_jax.trajectory import Coalitions, FlippedRollouts, RegroupedRollouts, Trajectory

NUM_ROLLOUTS, NUM_REPLAYS, NUM_BLOCKS = 4, 2, 3
CASES = ("an ordinary group", "a group of one", "equal rewards", "no rollout that counts")
OPTIONAL = ("value_gkt", "flipped", "coalitions", "regrouped")


def check_credit(name: str, credit: CreditFn, num_teams: int = 3, num_steps: int = 4) -> None:
    """Run the scheme on a few small groups and refuse what would spoil training.

    The groups have padded steps, steps without a decision, a rollout without a reward and one that failed; one is a
    group of one, one has equal rewards, one has no rollout that counts. Everything optional is filled in.

    Args:
        name: of the scheme, for the message.
        credit: the scheme, its hyper-parameters bound.
        num_teams: K of the groups.
        num_steps: T of the groups, at least 2.

    Raises:
        UserError: an exception inside the scheme, credit of another shape than [G, K, T] or another type than f32,
            credit that is not finite, or credit where no decision was taken or the rollout does not count.
    """
    groups = _groups(num_teams, num_steps)
    try:
        credit_bgkt = jax.jit(jax.vmap(credit))(groups)
    except UserError as error:
        raise UserError(f"credit scheme {name}: {error}") from error
    except Exception as error:
        raise UserError(f"credit scheme {name}: raised {describe(error)}") from error
    expected = groups.decision_mask_gkt.shape[1:]
    found = getattr(credit_bgkt, "shape", None)
    if found is None:
        raise UserError(f"credit scheme {name}: expected an array, got {type(credit_bgkt).__name__}")
    if found[1:] != expected:
        raise UserError(f"credit scheme {name}: expected shape [G, K, T] = {expected}, got {found[1:]}")
    if credit_bgkt.dtype != np.float32:
        raise UserError(f"credit scheme {name}: expected float32, got {credit_bgkt.dtype}")
    for case, credit_gkt, decision_mask_gkt, rollout_mask_g in zip(
        CASES, np.asarray(credit_bgkt), groups.decision_mask_gkt, groups.rollout_mask_g, strict=True
    ):
        place = _first(~np.isfinite(credit_gkt))
        if place is not None:
            raise UserError(f"credit scheme {name}: expected numbers, got {credit_gkt[place]} at {place} of {case}")
        place = _first((credit_gkt != 0.0) & ~decision_mask_gkt)
        if place is not None:
            raise UserError(f"credit scheme {name}: gave credit where no decision was taken, at {place} of {case}")
        place = _first((credit_gkt != 0.0) & ~rollout_mask_g[:, None, None])
        if place is not None:
            raise UserError(f"credit scheme {name}: gave credit to a rollout that does not count, at {place} of {case}")


def needs(credit: CreditFn) -> frozenset[str]:
    """The optional fields of `Trajectory` without which the scheme cannot work.

    Found by tracing it once for each field with that one left out, so nobody has to keep a list. Of `value_gkt`
    (a controller with a value head), `flipped`, `coalitions` and `regrouped` (replays). `num_spared_gkt` is not among
    them: it comes with the rollouts, or the world cannot say.

    Raises:
        Whatever the scheme raises when nothing is left out; `check_credit` says it in one line.
    """
    group = jax.tree.map(lambda array: array[0], _groups(3, 4))
    jax.eval_shape(credit, group)
    return frozenset(field for field in OPTIONAL if not _works_without(credit, group, field))


def _works_without(credit: CreditFn, group: Trajectory, field: str) -> bool:
    fields = {name: getattr(group, name) for name in group.__dataclass_fields__}
    try:
        jax.eval_shape(credit, Trajectory(**{**fields, field: None}))
    except (UserError, AttributeError, TypeError):  # ours say so; a quickly written scheme stumbles over None
        return False
    return True


def _first(where: np.ndarray) -> tuple[int, ...] | None:
    places = np.argwhere(where)
    return tuple(int(index) for index in places[0]) if len(places) else None


@lru_cache(maxsize=8)
def _groups(num_teams: int, num_steps: int) -> Trajectory:
    """The cases stacked along B. Each: rollouts that succeed, fail, lack a reward, and broke off; ragged teams."""
    rollouts = _one_group(num_teams, num_steps)
    alone = rollouts.rollout_mask_g & (np.arange(NUM_ROLLOUTS) == 0)
    level = np.full(NUM_ROLLOUTS, 0.1, np.float32)
    fields = {name: getattr(rollouts, name) for name in rollouts.__dataclass_fields__}
    cases = (
        rollouts,
        Trajectory(**{**fields, "rollout_mask_g": alone}),
        Trajectory(**{**fields, "reward_agg_g": level, "reward_first_g": 2 * level}),
        Trajectory(**{**fields, "rollout_mask_g": np.zeros(NUM_ROLLOUTS, bool)}),
    )
    return jax.tree.map(lambda *arrays: np.stack(arrays), *cases)


def _one_group(num_teams: int, num_steps: int) -> Trajectory:
    rng = np.random.default_rng(0)
    shape = (NUM_ROLLOUTS, num_teams, num_steps)
    # Every team ends in a padded step, and the second step of every third team was never put to the controller.
    step_mask = np.broadcast_to(np.arange(num_steps) < num_steps - 1, shape)
    decided = step_mask & ~((np.arange(num_steps) == 1) & (np.arange(num_teams)[:, None] % 3 == 2))
    admitted = decided & (rng.random(shape) < 0.6)
    used = admitted & (rng.random(shape) < 0.6)
    seconds = np.where(decided, 10.0 * np.arange(1, num_steps + 1) + rng.random(shape), np.inf)
    finish = seconds.max(axis=2, where=decided, initial=0.0) + 5.0
    finish[1] = np.inf  # nobody answered
    replays = (NUM_ROLLOUTS, NUM_REPLAYS)
    rewards: Any = [rng.random((*replays, NUM_BLOCKS + 1)) for _ in range(2)]
    blocks: Any = rng.integers(0, NUM_BLOCKS, (*replays, *shape[1:])).astype(np.int32)
    fields: dict[str, Any] = {
        "reward_agg_g": np.array([1.0, 0.0, np.nan, 0.5]),
        "reward_first_g": np.array([0.5, 0.0, 1.0, 0.5]),
        "runtime_g": np.array([60.0, 90.0, 70.0, 80.0]),
        "finish_seconds_gk": finish,
        "action_gkt": admitted.astype(np.int32),
        "behavior_log_prob_gkt": np.where(decided, -0.7, 0.0),
        "decision_seconds_gkt": seconds,
        "used_gkt": used,
        "num_other_readers_gkt": np.where(used, rng.integers(0, num_teams, shape), 0).astype(np.int32),
        "first_pull_seconds_gkt": np.where(used, seconds + 3.0, np.inf),
        "step_seconds_gkt": np.where(step_mask, 8.0, 0.0),
        "step_mask_gkt": step_mask,
        "decision_mask_gkt": decided,
        "rollout_mask_g": np.array([True, True, True, False]),
        "num_spared_gkt": np.where(used, rng.integers(0, num_teams, shape), 0).astype(np.int32),
        "value_gkt": np.where(decided, rng.random(shape), np.nan),
        "flipped": FlippedRollouts(*(_replay_numbers(rng, decided, shape) for _ in range(3))),
        "coalitions": Coalitions(blocks, *rewards),
        "regrouped": RegroupedRollouts(
            *(_replay_numbers(rng, decided[:, None], (*replays, *shape[1:])) for _ in range(2))
        ),
    }
    return jax.tree.map(
        lambda array: array.astype(np.float32) if array.dtype == np.float64 else array, Trajectory(**fields)
    )


def _replay_numbers(rng: np.random.Generator, decided: np.ndarray, shape: tuple[int, ...]) -> Any:
    """Numbers of replays; the last two steps were not replayed."""
    known = decided & (np.arange(shape[-1]) < shape[-1] - 2)
    return np.where(known, rng.random(shape), np.nan)
