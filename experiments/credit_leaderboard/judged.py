"""The schemes' credit of single admissions against the admissions' true effects."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np
from config import WORLDS, Config
from jax import Array
from trained import SEPARATE

from lts_jax.credit.contract import CreditFn, per_decision, require
from lts_jax.credit.schemes import bind, scheme
from lts_jax.environments.contract import Acting, Controller, Policy
from lts_jax.environments.policies import constant, constant_logit, of_network
from lts_jax.evaluation.fidelity import Fidelity, credit_fidelity, within_rollout_fidelity
from lts_jax.lab.credit_samples import CreditSamples, SampleSettings, ValueHead, Values, credit_samples
from lts_jax.lab.lab import results
from lts_jax.lab.settings import LabSettings, at_point, network_of
from lts_jax.trajectory import Trajectory

EFFECTS = ("reward_effect", "seconds_saved", "expected_reward_effect", "expected_seconds_saved")


@dataclass(frozen=True, slots=True)
class Judged:
    """One scheme against one effect."""

    policy: str
    credit: str
    effect: str
    overall: Fidelity
    within: Fidelity


def schemes_of(config: Config) -> dict[str, CreditFn]:
    """Every scheme with the weights of the study."""
    first_weight = config.lab().learning.first_weight
    return {name: bind(scheme(name), first_weight=first_weight) for name in config.schemes}


def judge(samples: CreditSamples, policy: str, names: tuple[str, ...], effects: tuple[str, ...]) -> list[Judged]:
    """Fidelity of the named schemes over all rows, and within rollouts."""
    found = []
    for effect in effects:
        truth = getattr(samples, effect)
        for name in names:
            credit = samples.credit[name]
            found.append(
                Judged(
                    policy,
                    name,
                    effect,
                    credit_fidelity(credit, truth, samples.tasks),
                    within_rollout_fidelity(credit, truth, samples.tasks, samples.rollouts),
                )
            )
    return found


def under_coin(config: Config) -> tuple[CreditSamples, list[Judged]]:
    """Every scheme where a coin decides. Values for gae come from a head trained under the same coin."""
    settings = replace(config.lab(), replays=config.judging)
    head = coin_values(config) if "gae" in config.schemes else None
    samples = credit_samples(
        settings, schemes_of(config), Controller(constant, constant_logit(0.5), Acting(1.0, False)),
        sampling=config.coin, seed=7000, head=head,
    )  # fmt: skip
    return samples, judge(samples, "random(0.5)", config.schemes, EFFECTS)


def coin_values(config: Config) -> ValueHead:
    """A value head trained while the policy stays a coin: without credit and price nothing moves its logits."""

    def no_credit(trajectory: Trajectory) -> Array:
        value_gkt = require(trajectory.value_gkt, "no_credit", "value_gkt")
        return per_decision(0.0 * value_gkt, trajectory, trajectory.rollout_mask_g)

    settings = replace(config.lab(), num_evaluation_tasks=1)
    result = results(settings, [{"learning.sparsity_weight": 0.0}], [0, 1], credit=no_credit)
    values = network_of(settings, value_head=True).packed_values
    assert values is not None
    return ValueHead(values, jax.tree.map(lambda leaf: leaf[0], result.params))


class OwnPolicies:
    """Fidelity of a scheme under the policies that it trained; the compiled programs are kept between schemes."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.schemes: Mapping[str, CreditFn] = schemes_of(config)
        self.policies: dict[bool, tuple[Policy, Values | None]] = {}

    def judge(self, scheme: str, params_s: Any) -> list[Judged]:
        """Samples of the first few seeds together; `params_s` has the axis of seeds in front."""
        world = next(iter(WORLDS))
        settings = replace(at_point(self.config.lab(), WORLDS[world]), replays=self.config.judging)
        parts = [self._samples(scheme, params_s, seed, settings) for seed in range(self.config.num_own_seeds)]
        return judge(_joined(parts), "its own", (scheme,), EFFECTS[:2])

    def _samples(self, scheme: str, params_s: Any, seed: int, settings: LabSettings) -> CreditSamples:
        params = jax.tree.map(lambda leaf: leaf[seed], params_s)
        has_values = "value" in params
        if has_values not in self.policies:
            network = network_of(settings, value_head=has_values)
            self.policies[has_values] = (of_network(network), network.packed_values)
        policy, values = self.policies[has_values]
        # One program for all schemes without replays or a value head; those with them get one each.
        plain = {name: one for name, one in self.schemes.items() if name not in SEPARATE}
        credits = plain if scheme in plain else {scheme: self.schemes[scheme]}
        sampling: SampleSettings = self.config.own
        return credit_samples(
            settings, credits, Controller(policy, params, Acting(settings.learning.temperature, False)),
            sampling=sampling, seed=8000 + seed, head=None if values is None else ValueHead(values, params),
        )  # fmt: skip


def _joined(parts: list[CreditSamples]) -> CreditSamples:
    """Samples of several seeds as one; their tasks and rollouts are different ones."""
    first, columns = parts[0], {}
    for name in ("reward_effect", "seconds_saved", "was_used", "was_right", *EFFECTS[2:]):
        columns[name] = np.concatenate([getattr(part, name) for part in parts])
    offsets = np.cumsum([0, *(int(part.rollouts.max(initial=0)) + 1 for part in parts)])
    return replace(
        first,
        credit={name: np.concatenate([part.credit[name] for part in parts]) for name in first.credit},
        tasks=tuple(f"{seed}-{task}" for seed, part in enumerate(parts) for task in part.tasks),
        rollouts=np.concatenate([part.rollouts + offset for part, offset in zip(parts, offsets, strict=False)]),
        **columns,
    )


def admissions_told(samples: CreditSamples) -> list[dict[str, Any]]:
    """What admissions under the coin did, by what they held and whether they were pulled."""
    used, right = samples.was_used, samples.was_right
    kinds = {
        "all": np.ones(len(used), bool),
        "right, pulled": right & used,
        "right, not pulled": right & ~used,
        "other, pulled": ~right & used,
        "other, not pulled": ~right & ~used,
    }
    told = []
    for name, which in kinds.items():
        known = which & np.isfinite(samples.expected_reward_effect)
        told.append(
            {
                "admissions": name,
                "share": float(which.mean()),
                "changes_reward": float(np.mean(samples.reward_effect[which] != 0.0)),
                "reward_effect": float(np.mean(samples.reward_effect[which])),
                "seconds_saved": float(np.mean(samples.seconds_saved[which])),
                "expected_reward_effect": float(np.mean(samples.expected_reward_effect[known])),
                "expected_seconds_saved": float(np.mean(samples.expected_seconds_saved[known])),
            }
        )
    return told
