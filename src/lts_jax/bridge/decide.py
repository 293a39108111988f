"""THE BRIDGE back: an array decision becomes a record.

Decisions of all teams and rollouts that wait at the same moment are answered by one call of one compiled function. Its
shape depends only on a request's own number of keys, never on its company: requests are grouped by key bucket, every
call has the same batch size, and inside the call rows are computed one after the other by one loop body. A request
therefore gets the same bits whichever batch and row it rides in, and at most `len(key_buckets)` programs are compiled;
twice as many where entries end, since requests that see ended ones are batched among themselves.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np
from jax import Array

from lts_jax.admission.policy import Admission, AdmissionRequest
from lts_jax.bridge.batching import DeciderCounts, DecisionQueue, Waiting, admissions
from lts_jax.bridge.decide_edits import check_actions, edit_admissions, with_target_draw
from lts_jax.bridge.features import DecisionFeatures, PaddedDecisions, decision_features, padded
from lts_jax.errors import UserError
from lts_jax.memory.encoded_texts import EncodedTexts, TextEncoder
from lts_jax.models.policy_network import Params, PolicyNetwork, need_lives
from lts_jax.seeds import rollout_coordinates, uniform


@dataclass(frozen=True, slots=True)
class DeciderSettings:
    """How decisions are taken and batched."""

    temperature: float = 1.2  # logits are divided by it, here and in the loss; the paper, section on training
    min_probability: float = 0.0  # of either action while sampling; more than 0 keeps every decision a trial
    greedy: bool = False  # True takes the likeliest action; the paper does so at evaluation
    batch_size: int = 16  # rows of one compiled call
    key_buckets: tuple[int, ...] = (8, 32, 96)  # padded numbers of keys, rising; the last is the network's key window
    exact_rows: bool = True  # False computes all rows at once: faster on accelerators, rows then agree to about 1e-6
    max_wait_seconds: float | None = None  # wall seconds; None waits for all rollouts, as virtual clocks allow

    def __post_init__(self) -> None:
        """Refuse settings that cannot be run."""
        if not self.temperature > 0:
            raise UserError(f"DeciderSettings.temperature: expected more than 0, got {self.temperature}")
        if not 0.0 <= self.min_probability <= 0.5:
            raise UserError(f"DeciderSettings.min_probability: expected from 0 to 0.5, got {self.min_probability}")
        if self.batch_size < 1:
            raise UserError(f"DeciderSettings.batch_size: expected at least 1, got {self.batch_size}")
        if not self.key_buckets or self.key_buckets[0] < 1 or list(self.key_buckets) != sorted(set(self.key_buckets)):
            raise UserError(f"DeciderSettings.key_buckets: expected rising positive numbers, got {self.key_buckets}")
        if self.max_wait_seconds is not None and self.max_wait_seconds < 0:
            raise UserError(f"DeciderSettings.max_wait_seconds: expected None or >= 0, got {self.max_wait_seconds}")


class BatchedDecider:
    """Answers decisions in batches, each computed anew from all its keys. See `DecisionQueue` for when a batch runs."""

    def __init__(
        self,
        network: PolicyNetwork,
        params: Params,
        encoder: TextEncoder,
        settings: DeciderSettings | None = None,
    ) -> None:
        self.settings = settings or DeciderSettings()
        if self.settings.key_buckets[-1] != network.key_window:
            raise UserError(
                f"DeciderSettings.key_buckets: expected the last to be the network's key window {network.key_window}, "
                f"got {self.settings.key_buckets}"
            )
        check_actions(network, self.settings)
        self.network = network
        self.texts = encoder if isinstance(encoder, EncodedTexts) else EncodedTexts(encoder)
        self._params = params
        buckets = self.settings.key_buckets
        self._queue: DecisionQueue[DecisionFeatures] = DecisionQueue(
            (*buckets, *(-bucket for bucket in buckets)),
            self.settings.batch_size,
            self.settings.max_wait_seconds,
            self._answer,
        )

    @property
    def counts(self) -> DeciderCounts:
        """How well decisions were batched so far."""
        return self._queue.counts

    @property
    def params(self) -> Params:
        """The parameters that it decides with."""
        return self._params

    def replace_params(self, params: Params) -> None:
        """Decide with new parameters from now on.

        Raises:
            RuntimeError: decisions are waiting; they were asked of the old parameters.
        """
        self._queue.refuse_while_waiting()
        self._params = params

    def rollout_started(self) -> None:
        """One more rollout may ask."""
        self._queue.rollout_started()

    def rollout_ended(self) -> None:
        """One fewer rollout may ask; those that wait may now be all there are."""
        self._queue.rollout_ended()

    async def decide(self, request: AdmissionRequest) -> Admission:
        """Action, its log-probability under the sampling distribution, and that distribution's probability of ADMIT.

        The distribution is softmax(logits / temperature); the draw is by inverse CDF with the uniform number of the
        decision's coordinates. A greedy decision is certain, so its log-probability is 0.

        Raises:
            UserError: an entry has ended, and the network does not know of such.
        """
        features = decision_features(request, self.texts, key_window=self.network.key_window)
        buckets = self.settings.key_buckets
        bucket = buckets[bisect_left(buckets, len(features.key_nd))]
        if features.alive_n is not None:
            need_lives(self.network)
        if self.network.may_edit:
            return await self._queue.ask(with_target_draw(features, request, self.network), draw_of(request), bucket)
        return await self._queue.ask(features, draw_of(request), bucket if features.alive_n is None else -bucket)

    def _answer(self, batch: list[Waiting[DecisionFeatures]], group: int) -> list[Admission]:
        asked, draws = [waiting.asked for waiting in batch], [waiting.draw for waiting in batch]
        settings = self.settings
        if self.network.may_edit:
            rows = padded(asked, group, settings.batch_size, lives=True)
            return edit_admissions(self.network, self._params, rows, asked, draws, settings)
        found = whole_log_probs(self.network, self._params, asked, abs(group), settings)
        return admissions(found, draws, greedy=settings.greedy, min_probability=settings.min_probability)


def whole_log_probs(
    network: PolicyNetwork,
    params: Params,
    features: Sequence[DecisionFeatures],
    num_entries: int,
    settings: DeciderSettings,
) -> np.ndarray:
    """`decision_log_probs` of at most `batch_size` decisions, each with its keys padded to `num_entries`; f64[n, A].

    All of them see an ended entry, or none does.
    """
    rows = padded(features, num_entries, settings.batch_size, lives=features[0].alive_n is not None)
    joined = network.join(params, network.frozen_arrays)
    found = decision_log_probs(network, joined, rows, settings.temperature, settings.exact_rows)
    return np.asarray(found, np.float64)[: len(features)]


def draw_of(request: AdmissionRequest) -> float:
    """The uniform number in [0, 1) of a decision's coordinates."""
    return uniform(*rollout_coordinates(request.coordinates), request.step.team, request.step.step, "decide")


@partial(jax.jit, static_argnames=("network", "exact_rows"))
def decision_log_probs(
    network: PolicyNetwork, params: Params, rows: PaddedDecisions, temperature: float, exact_rows: bool
) -> Array:
    """log softmax(logits / temperature) of a batch of decisions, f32[B, A]; `params` as `network.join` gives them."""

    def logits_of(rows: Any) -> Array:
        *plain, alive = rows
        if alive is None:
            return network.decision_logits(params, *plain)
        assert network.living_logits is not None  # `need_lives` has seen to it
        return network.living_logits(params, *rows)

    # A batched matrix product may treat its last rows differently, so that a row's bits depend on its place.
    logits_ba = jax.lax.map(logits_of, rows) if exact_rows else logits_of(rows)
    return jax.nn.log_softmax(logits_ba / temperature, axis=-1)
