"""Made-up rollouts whose decisions fell by known chances: what an admission adds is known, since this file says it."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from lts_jax.models.policy_network import PolicyNetwork
from lts_jax.trajectory import DecisionContext, Trajectory


def plain_network(num_features: int) -> PolicyNetwork:
    """Log-odds linear in the summary's embedding alone, whose first number is the constant 1."""

    def logits_of(params: dict, summary: jax.Array) -> jax.Array:
        admit = summary @ params["weight"]
        return jnp.stack([jnp.zeros_like(admit), admit], axis=-1)

    return PolicyNetwork(
        init=lambda prng_key: {"weight": jnp.zeros(num_features)},
        decision_logits=lambda params, query, key, num_keys, step: logits_of(params, step[..., 1, :]),
        packed_logits=lambda params, context: logits_of(params, context.step_gktsd[..., 1, :]),
        packed_features=lambda context: context.step_gktsd[..., 1, :],
        key_window=1,
        name="plain",
    )


def trajectory_of(
    action_bgkt: np.ndarray, probability_bgkt: np.ndarray, reward_bg: np.ndarray, runtime_bg: np.ndarray | None = None
) -> Trajectory:
    """B groups in which every step was decided; `probability_bgkt` is that of an admission. Both rewards are equal."""
    shape = action_bgkt.shape
    taken = np.where(action_bgkt == 1, probability_bgkt, 1.0 - probability_bgkt)
    none, everywhere = np.zeros(shape, np.float32), np.ones(shape, bool)
    runtime = np.full(shape[:2], 50.0) if runtime_bg is None else runtime_bg
    return Trajectory(
        reward_agg_g=reward_bg.astype(np.float32),
        reward_first_g=reward_bg.astype(np.float32),
        runtime_g=runtime.astype(np.float32),
        finish_seconds_gk=np.ones(shape[:3], np.float32),
        action_gkt=action_bgkt.astype(np.int32),
        behavior_log_prob_gkt=np.log(taken).astype(np.float32),
        decision_seconds_gkt=none,
        used_gkt=~everywhere,
        num_other_readers_gkt=none.astype(np.int32),
        first_pull_seconds_gkt=none + np.inf,
        step_seconds_gkt=none + 1.0,
        step_mask_gkt=everywhere,
        decision_mask_gkt=everywhere,
        rollout_mask_g=np.ones(shape[:2], bool),
    )


def context_of(feature_bgktf: np.ndarray) -> DecisionContext:
    """What `plain_network` reads."""
    *shape, width = feature_bgktf.shape
    step = np.zeros((*shape, 3, width), np.float32)
    step[..., 1, :] = feature_bgktf
    return DecisionContext(
        query_d=np.zeros((shape[0], width), np.float32),
        key_gnd=np.zeros((*shape[:2], 1, width), np.float32),
        num_keys_gkt=np.zeros(shape, np.int32),
        step_gktsd=step,
    )


def drawn(
    seed: int,
    effect_f: list[float],
    chance: Callable[[np.ndarray], np.ndarray],
    *,
    num_tasks: int,
    num_rollouts: int = 4,
    num_steps: int = 5,
    noise: float = 0.2,
) -> tuple[Trajectory, DecisionContext]:
    """Reward = task's own + sum over admitted steps of effect . feature + noise; features are a constant and +-1.

    Tasks differ by far more than anything an admission does. `chance` gives the probability of an admission from the
    features, [..., F] -> [...].
    """
    rng = np.random.default_rng(seed)
    shape = (num_tasks, num_rollouts, 1, num_steps)
    feature = rng.choice([-1.0, 1.0], (*shape, len(effect_f)))
    feature[..., 0] = 1.0
    probability = chance(feature)
    action = rng.random(shape) < probability
    own = rng.normal(0.0, 3.0, (num_tasks, 1))
    reward = own + (action * (feature @ np.array(effect_f))).sum((-1, -2)) + rng.normal(0.0, noise, shape[:2])
    return trajectory_of(action, probability, reward), context_of(feature)
