"""Decisions of a controller that may also update and delete: an action, and of an edit the entry that it is of.

log pi = log pi(a) + log pi(n | a), both over what is legal (`collate_edits`), by the functions that the loss takes them
from. What was not among the keys that the network reads cannot be chosen, so it must read all of them.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from lts_jax.actions import NO_TARGET
from lts_jax.admission.policy import ADMIT, Admission, AdmissionRequest
from lts_jax.bridge.collate_edits import NUM_ACTIONS
from lts_jax.bridge.features import DecisionFeatures, PaddedDecisions
from lts_jax.errors import UserError
from lts_jax.learning.losses import action_log_probs
from lts_jax.models.policy_network import Params, PolicyNetwork
from lts_jax.records import EDITS
from lts_jax.seeds import rollout_coordinates, uniform


class Sampling(Protocol):
    """Of `DeciderSettings`, what is looked at here."""

    @property
    def temperature(self) -> float:
        """Logits are divided by it."""
        ...

    @property
    def min_probability(self) -> float:
        """Of either of two actions; 0 here."""
        ...

    @property
    def greedy(self) -> bool:
        """Whether the likeliest is taken."""
        ...

    @property
    def exact_rows(self) -> bool:
        """Whether rows are computed one after the other."""
        ...


def check_actions(network: PolicyNetwork, settings: Sampling) -> None:
    """Refuse a network whose actions a bank of texts does not know, or that cannot say what an edit is of.

    Raises:
        UserError: one line that names the network, what was expected and what it has.
    """
    if network.num_actions == 2:
        return
    if network.num_actions != NUM_ACTIONS or not network.may_edit:
        targets = "targets" if network.may_edit else "no targets"
        raise UserError(
            f"{network.name}: expected two actions, or {NUM_ACTIONS} and targets where a memory of texts is edited, as "
            f"set_transformer(num_actions={NUM_ACTIONS}, targets=true); got {network.num_actions} and {targets}"
        )
    if settings.min_probability:
        raise UserError(f"min_probability: expected 0 for a network that edits, got {settings.min_probability}")


def with_target_draw(features: DecisionFeatures, request: AdmissionRequest, network: PolicyNetwork) -> DecisionFeatures:
    """What the network reads of a request, and the uniform number of its coordinates by which an entry is chosen.

    Raises:
        UserError: more keys than the network reads.
    """
    if len(request.keys) > network.key_window:
        raise UserError(
            f"{network.name}: key_window: expected at least the {len(request.keys)} keys of a memory that is edited, "
            f"got {network.key_window}"
        )
    step = request.step
    draw = uniform(*rollout_coordinates(request.coordinates), step.team, step.step, "target")
    return replace(features, target_draw=draw)


def edit_admissions(
    network: PolicyNetwork,
    params: Params,
    rows: PaddedDecisions,
    features: Sequence[DecisionFeatures],
    draws: Sequence[float],
    settings: Sampling,
) -> list[Admission]:
    """Decisions on these rows by inverse CDF, with one uniform number for the action and one for the entry.

    Raises:
        FloatingPointError: a log-probability is not finite.
    """
    joined = network.join(params, network.frozen_arrays)
    found = edit_log_probs(network, joined, rows, settings.temperature, settings.exact_rows)
    log_prob_ba, log_prob_bn = (np.asarray(each, np.float64)[: len(features)] for each in found)
    if not (np.isfinite(log_prob_ba).all() and np.isfinite(log_prob_bn).all()):
        raise FloatingPointError("the controller's log-probabilities are not finite; check its parameters")
    return [
        _admission(log_prob_a, log_prob_n, (draw, each.target_draw), greedy=settings.greedy)
        for log_prob_a, log_prob_n, draw, each in zip(log_prob_ba, log_prob_bn, draws, features, strict=True)
    ]


@partial(jax.jit, static_argnames=("network", "exact_rows"))
def edit_log_probs(
    network: PolicyNetwork, params: Params, rows: PaddedDecisions, temperature: float, exact_rows: bool
) -> tuple[Array, Array]:
    """log pi(a) f32[B, A] over the legal actions, and log pi(n | a) f32[B, N] of an edit over the entries it sees."""

    def of(rows: Any) -> tuple[Array, Array]:
        query, key, num_keys, step, alive = rows
        assert network.decision_targets is not None  # `check_actions` has seen to it
        logit_a, pointer_j = network.decision_targets(params, query, key, num_keys, step, alive)
        seen_n = alive & (jnp.arange(alive.shape[-1]) < num_keys[..., None])
        legal_a = jnp.ones(logit_a.shape, bool).at[..., list(EDITS)].set(jnp.any(seen_n, axis=-1)[..., None])
        pointer_n = pointer_j[..., : alive.shape[-1]]
        return (
            action_log_probs(logit_a, temperature=temperature, legal=legal_a),
            action_log_probs(pointer_n, temperature=temperature, legal=seen_n),
        )

    return jax.lax.map(of, rows) if exact_rows else of(rows)


def _admission(
    log_prob_a: np.ndarray, log_prob_n: np.ndarray, draws: tuple[float, float], *, greedy: bool
) -> Admission:
    admit_probability = float(np.exp(log_prob_a[ADMIT]))
    action = _chosen(log_prob_a, draws[0], greedy=greedy)
    log_prob = log_prob_a[action]
    target = NO_TARGET
    if action in EDITS:
        target = _chosen(log_prob_n, draws[1], greedy=greedy)
        log_prob += log_prob_n[target]
    return Admission(action, 0.0 if greedy else float(log_prob), admit_probability, target)


def _chosen(log_prob_x: np.ndarray, draw: float, *, greedy: bool) -> int:
    """The likeliest, or by inverse CDF; never one of probability 0."""
    if greedy:
        return int(np.argmax(log_prob_x))
    prob_x = np.exp(log_prob_x)
    place = int(np.searchsorted(np.cumsum(prob_x), draw * prob_x.sum(), side="right"))
    return place if place < len(prob_x) and prob_x[place] > 0.0 else int(np.flatnonzero(prob_x)[-1])
