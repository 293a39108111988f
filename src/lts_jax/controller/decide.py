"""THE BRIDGE back: an array decision becomes a record.

Decisions of all teams and rollouts that wait at the same moment are answered by one call of one compiled function. Its
shape depends only on a request's own number of keys, never on its company: requests are grouped by key bucket, every
call has the same batch size, and inside the call rows are computed one after the other by one loop body. A request
therefore gets the same bits whichever batch and row it rides in, and at most `len(key_buckets)` programs are compiled.
"""

import asyncio
from bisect import bisect_left
from dataclasses import dataclass, field
from functools import partial

import jax
import numpy as np
from jax import Array

from lts_jax.controller.features import DecisionFeatures, EncodedTexts, TextEncoder, decision_features
from lts_jax.controller.policy import ADMIT, Admission, AdmissionRequest
from lts_jax.errors import UserError
from lts_jax.models.policy_network import Params, PolicyNetwork
from lts_jax.seeds import rollout_coordinates, uniform


@dataclass(frozen=True, slots=True)
class DeciderSettings:
    """How decisions are taken and batched."""

    temperature: float = 1.2  # logits are divided by it, here and in the loss; the paper, section on training
    greedy: bool = False  # True takes the likeliest action; the paper does so at evaluation
    batch_size: int = 16  # rows of one compiled call
    key_buckets: tuple[int, ...] = (8, 32, 96)  # padded numbers of keys, rising; the last is the network's key window
    exact_rows: bool = True  # False computes all rows at once: faster on accelerators, rows then agree to about 1e-6
    max_wait_seconds: float | None = None  # wall seconds; None waits for all rollouts, as virtual clocks allow

    def __post_init__(self) -> None:
        """Refuse settings that cannot be run."""
        if not self.temperature > 0:
            raise UserError(f"DeciderSettings.temperature: expected more than 0, got {self.temperature}")
        if self.batch_size < 1:
            raise UserError(f"DeciderSettings.batch_size: expected at least 1, got {self.batch_size}")
        if not self.key_buckets or self.key_buckets[0] < 1 or list(self.key_buckets) != sorted(set(self.key_buckets)):
            raise UserError(f"DeciderSettings.key_buckets: expected rising positive numbers, got {self.key_buckets}")
        if self.max_wait_seconds is not None and self.max_wait_seconds < 0:
            raise UserError(f"DeciderSettings.max_wait_seconds: expected None or >= 0, got {self.max_wait_seconds}")


@dataclass(slots=True)
class DeciderCounts:
    """How well decisions were batched: decisions / (batches * batch_size) is the share of useful rows."""

    num_decisions: int = 0
    num_batches: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    features: DecisionFeatures
    draw: float  # uniform number in [0, 1) of this decision's coordinates
    answer: asyncio.Future[Admission] = field(repr=False)


class BatchedDecider:
    """Answers decisions in batches. One event loop at a time; not for several threads.

    A batch runs as soon as a bucket is full, or as many requests wait as rollouts are active (one rollout on a virtual
    clock waits for one decision at a time, so nobody else can come), or the first has waited `max_wait_seconds`.
    Without `rollout_started` every request is answered at once.
    """

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
        self.network = network
        self.texts = encoder if isinstance(encoder, EncodedTexts) else EncodedTexts(encoder)
        self.counts = DeciderCounts()
        self._params = params
        self._waiting: dict[int, list[_Waiting]] = {bucket: [] for bucket in self.settings.key_buckets}
        self._num_active = 0
        self._timer: asyncio.TimerHandle | None = None

    def replace_params(self, params: Params) -> None:
        """Decide with new parameters from now on.

        Raises:
            RuntimeError: decisions are waiting; they were asked of the old parameters.
        """
        if self._num_waiting():
            raise RuntimeError(f"{self._num_waiting()} decisions wait for the parameters that are to be replaced")
        self._params = params

    def rollout_started(self) -> None:
        """One more rollout may ask."""
        self._num_active += 1

    def rollout_ended(self) -> None:
        """One fewer rollout may ask; those that wait may now be all there are."""
        self._num_active -= 1
        self._run_if_all_wait()

    async def decide(self, request: AdmissionRequest) -> Admission:
        """Action, its log-probability under the sampling distribution, and that distribution's probability of ADMIT.

        The distribution is softmax(logits / temperature); the draw is by inverse CDF with the uniform number of the
        decision's coordinates. A greedy decision is certain, so its log-probability is 0.
        """
        settings = self.settings
        features = decision_features(request, self.texts, key_window=self.network.key_window)
        place = (*rollout_coordinates(request.coordinates), request.step.team, request.step.step, "decide")
        loop = asyncio.get_running_loop()
        waiting = _Waiting(features, uniform(*place), loop.create_future())
        bucket = settings.key_buckets[bisect_left(settings.key_buckets, len(features.key_nd))]
        group = self._waiting[bucket]
        group.append(waiting)
        if len(group) == settings.batch_size:
            self._run(bucket)
        else:
            self._run_if_all_wait()
        if not waiting.answer.done() and settings.max_wait_seconds is not None and self._timer is None:
            self._timer = loop.call_later(settings.max_wait_seconds, self._run_all)
        try:
            return await waiting.answer
        finally:
            if waiting in self._waiting[bucket]:  # cancelled while waiting
                self._waiting[bucket].remove(waiting)

    def _num_waiting(self) -> int:
        return sum(len(group) for group in self._waiting.values())

    def _run_if_all_wait(self) -> None:
        if self._num_waiting() >= max(1, self._num_active):
            self._run_all()

    def _run_all(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for bucket, group in self._waiting.items():
            if group:
                self._run(bucket)

    def _run(self, bucket: int) -> None:
        batch = [waiting for waiting in self._waiting[bucket] if not waiting.answer.done()]
        self._waiting[bucket] = []
        if not batch:
            return
        try:
            admissions = self._admissions(batch, bucket)
        except Exception as error:
            for waiting in batch:
                waiting.answer.set_exception(error)
            return
        self.counts.num_decisions += len(batch)
        self.counts.num_batches += 1
        for waiting, admission in zip(batch, admissions, strict=True):
            waiting.answer.set_result(admission)

    def _admissions(self, batch: list[_Waiting], bucket: int) -> list[Admission]:
        rows, width = self.settings.batch_size, self.texts.dim
        query = np.zeros((rows, width), np.float32)
        key = np.zeros((rows, bucket, width), np.float32)
        num_keys = np.zeros(rows, np.int32)
        step = np.zeros((rows, 3, width), np.float32)
        for row, waiting in enumerate(batch):
            features = waiting.features
            query[row], step[row], num_keys[row] = features.query_d, features.step_sd, len(features.key_nd)
            key[row, : num_keys[row]] = features.key_nd
        log_prob_ba = np.asarray(
            decision_log_probs(
                self.network,
                self._params,
                query,
                key,
                num_keys,
                step,
                self.settings.temperature,
                self.settings.exact_rows,
                self.network.frozen_arrays,
            ),
            np.float64,
        )[: len(batch)]
        if not np.isfinite(log_prob_ba).all():
            raise FloatingPointError("the controller's log-probabilities are not finite; check its parameters")
        return [
            _admission(log_prob_a, waiting.draw, greedy=self.settings.greedy)
            for log_prob_a, waiting in zip(log_prob_ba, batch, strict=True)
        ]


@partial(jax.jit, static_argnames=("network", "exact_rows"))
def decision_log_probs(
    network: PolicyNetwork,
    params: Params,
    query_bd: Array | np.ndarray,
    key_bnd: Array | np.ndarray,
    num_keys_b: Array | np.ndarray,
    step_bsd: Array | np.ndarray,
    temperature: float,
    exact_rows: bool,
    frozen_arrays: Params = None,
) -> Array:
    """log softmax(logits / temperature) of a batch of decisions, f32[B, A]. A frozen base comes as an argument."""
    params = network.joined(params, frozen_arrays)
    rows = (query_bd, key_bnd, num_keys_b, step_bsd)
    if exact_rows:
        # A batched matrix product may treat its last rows differently, so that a row's bits depend on its place.
        logits_ba = jax.lax.map(lambda row: network.decision_logits(params, *row), rows)
    else:
        logits_ba = network.decision_logits(params, *rows)  # type: ignore[arg-type]
    return jax.nn.log_softmax(logits_ba / temperature, axis=-1)


def _admission(log_prob_a: np.ndarray, draw: float, *, greedy: bool) -> Admission:
    probability_a = np.exp(log_prob_a)
    admit_probability = float(probability_a[ADMIT])
    if greedy:
        return Admission(int(np.argmax(log_prob_a)), 0.0, admit_probability)
    action = min(int(np.searchsorted(np.cumsum(probability_a), draw, side="right")), len(log_prob_a) - 1)
    return Admission(action, float(log_prob_a[action]), admit_probability)
