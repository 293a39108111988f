"""The second bridge back, for networks that keep what they computed: a decision costs its own few tokens.

Keys are only ever appended, so the attention cache of [query; keys] of a rollout stays right as the rollout goes on.
The cache is always grown in one way: the query alone, then key after key by the program that also decides, whose newest
key is read in the pass that decides. What is computed for a request thus follows from its content, never from who held
which row, how often a row was given away, or who rides in the same batch: a request gets the same bits in any company.

Two programs are compiled: one that starts a row, one that decides and appends. A third, the whole forward, only serves
requests with more keys than the window: there the oldest leave it, and the others move to other positions.
"""

from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from lts_jax.admission.policy import Admission, AdmissionRequest
from lts_jax.bridge.batching import DeciderCounts, DecisionQueue, Waiting, admissions
from lts_jax.bridge.decide import DeciderSettings, draw_of, whole_log_probs
from lts_jax.bridge.features import DecisionFeatures, decision_features
from lts_jax.errors import UserError
from lts_jax.memory.encoded_texts import EncodedTexts, TextEncoder
from lts_jax.models.policy_network import CachedDecision, DecisionCache, Params, PolicyNetwork, need_lives

_CACHED, _WHOLE, _WHOLE_WITH_ENDED = range(3)


@dataclass(frozen=True, slots=True)
class _Asked:
    owner: object  # the running rollout
    question: str
    keys: tuple[str, ...]
    features: DecisionFeatures


@dataclass(slots=True)
class _Row:
    """What one row of the cache holds: the query, and the first `len(keys)` keys."""

    owner: object
    question: str
    keys: list[str] = field(default_factory=list)
    last_used: int = 0


class CachedDecider:
    """Answers decisions in batches from attention caches. The interface of `BatchedDecider`.

    Args:
        network: one that has a `cache`.
        params: trained parameters.
        encoder: of texts.
        settings: `key_buckets` are not used, nor padded to: only the network's key window counts.
        num_rows: rollouts whose caches are kept. Where more run, the one that asked longest ago gives its row away and
            is computed again when it asks: slower, with the same bits.

    Raises:
        UserError: a network without a cache, or no rows.
    """

    def __init__(
        self,
        network: PolicyNetwork,
        params: Params,
        encoder: TextEncoder,
        settings: DeciderSettings | None = None,
        *,
        num_rows: int = 64,
    ) -> None:
        if network.cache is None:
            raise UserError(f"{network.name}: expected a network that keeps a cache of its keys")
        if num_rows < 1:
            raise UserError(f"CachedDecider.num_rows: expected at least 1, got {num_rows}")
        self.settings = settings or DeciderSettings()
        self.network = network
        self.texts = encoder if isinstance(encoder, EncodedTexts) else EncodedTexts(encoder)
        self._params = params
        self._num_rows = num_rows
        self._rows: dict[object, int] = {}  # row of each owner
        self._held: list[_Row | None] = [None] * num_rows
        self._cache: Any = None
        self._time = 0
        self._queue: DecisionQueue[_Asked] = DecisionQueue(
            (_CACHED, _WHOLE, _WHOLE_WITH_ENDED), self.settings.batch_size, self.settings.max_wait_seconds, self._answer
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
        """Decide with new parameters from now on; what was computed with the old ones is forgotten.

        Raises:
            RuntimeError: decisions are waiting; they were asked of the old parameters.
        """
        self._queue.refuse_while_waiting()
        self._params = params
        self._rows, self._held, self._cache = {}, [None] * self._num_rows, None

    def rollout_started(self) -> None:
        """One more rollout may ask."""
        self._queue.rollout_started()

    def rollout_ended(self) -> None:
        """One fewer rollout may ask; those that wait may now be all there are."""
        self._queue.rollout_ended()

    async def decide(self, request: AdmissionRequest) -> Admission:
        """As `BatchedDecider.decide`."""
        features = decision_features(request, self.texts, key_window=self.network.key_window)
        owner = request.coordinates if request.rollout is None else request.rollout
        asked = _Asked(owner, request.question, tuple(request.keys), features)
        if features.alive_n is not None:
            need_lives(self.network)
        whole = _WHOLE if features.alive_n is None else _WHOLE_WITH_ENDED
        group = _CACHED if len(asked.keys) <= self.network.key_window else whole
        return await self._queue.ask(asked, draw_of(request), group)

    def _answer(self, batch: list[Waiting[_Asked]], group: int) -> list[Admission]:
        asked = [waiting.asked for waiting in batch]
        if group != _CACHED:
            features = [each.features for each in asked]
            log_probs = whole_log_probs(self.network, self._params, features, self.network.key_window, self.settings)
        else:
            log_probs = self._cached_log_probs(asked)
        settings = self.settings
        draws = [waiting.draw for waiting in batch]
        return admissions(log_probs, draws, greedy=settings.greedy, min_probability=settings.min_probability)

    def _cached_log_probs(self, asked: Sequence[_Asked]) -> np.ndarray:
        """Rounds of one call each: a row that lacks keys catches up one a round, and decides when it has them all."""
        found: dict[int, np.ndarray] = {}
        while len(found) < len(asked):
            place_of_row: dict[int, int] = {}
            for place in (place for place in range(len(asked)) if place not in found):
                row = self._row_of(asked[place], in_use=place_of_row)
                if row is not None:
                    place_of_row[row] = place
            log_prob_ba = self._round({row: asked[place] for row, place in place_of_row.items()})
            for log_prob_a, (row, place) in zip(log_prob_ba, place_of_row.items(), strict=True):
                if len(self._holding(row).keys) >= len(asked[place].keys):
                    found[place] = log_prob_a
        return np.stack([found[place] for place in range(len(asked))])

    def _row_of(self, asked: _Asked, in_use: Container[int]) -> int | None:
        """A row that holds a beginning of what is asked; None if it must wait for the next round."""
        row = self._rows.get(asked.owner)
        if row is None:
            free = [number for number in range(self._num_rows) if number not in in_use]
            if not free:
                return None
            row = min(free, key=lambda number: -1 if (held := self._held[number]) is None else held.last_used)
            if (old := self._held[row]) is not None:
                del self._rows[old.owner]
            self._rows[asked.owner], self._held[row] = row, None
        if row in in_use:
            return None
        held = self._held[row]
        if held is None or held.question != asked.question:
            held = self._held[row] = _Row(asked.owner, asked.question)
            self._start(row, asked.features.query_d)
        common = _common(held.keys, asked.keys)
        if common < min(len(held.keys), len(asked.keys)):
            del held.keys[common:]  # another history of this rollout; what lies beyond is never looked at
        self._time += 1
        held.last_used = self._time
        return row

    def _holding(self, row: int) -> _Row:
        held = self._held[row]
        assert held is not None
        return held

    def _start(self, row: int, query_d: np.ndarray) -> None:
        if self._cache is None:
            self._cache = _cache_of(self.network).empty(self._num_rows, self.network.key_window)
        self._cache = start_row(self.network, self._all_params(), self._cache, np.int32(row), query_d)

    def _round(self, asked_of_row: dict[int, _Asked]) -> np.ndarray:
        """One call: each row reads its next key and the step. Right for those whose keys are then all read."""
        size, width = self.settings.batch_size, self.texts.dim
        row = np.full(size, self._num_rows, np.int32)  # beyond the end: written nowhere
        num_cached, has_new = np.zeros(size, np.int32), np.zeros(size, bool)
        new_key, step = np.zeros((size, width), np.float32), np.zeros((size, 3, width), np.float32)
        alive = np.ones((size, self.network.key_window), bool) if self.network.knows_lives else None
        for place, (number, asked) in enumerate(asked_of_row.items()):
            if alive is not None and asked.features.alive_n is not None:
                alive[place, : len(asked.keys)] = asked.features.alive_n
            row[place], step[place] = number, asked.features.step_sd
            if not asked.keys:
                continue
            keys = self._holding(number).keys
            cached = min(len(keys), len(asked.keys) - 1)  # the newest key is always read beside the step
            num_cached[place], has_new[place], new_key[place] = cached, True, asked.features.key_nd[cached]
            if cached == len(keys):
                keys.append(asked.keys[cached])
        log_prob_ba, self._cache = step_rows(
            self.network,
            self._all_params(),
            self._cache,
            (row, CachedDecision(num_cached, new_key, has_new, step, alive)),
            self.settings.temperature,
            self.settings.exact_rows,
        )
        return np.asarray(log_prob_ba, np.float64)[: len(asked_of_row)]

    def _all_params(self) -> Params:
        return self.network.join(self._params, self.network.frozen_arrays)


def _common(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the common beginning."""
    for place, (one, other) in enumerate(zip(first, second, strict=False)):
        if one != other:
            return place
    return min(len(first), len(second))


def _cache_of(network: PolicyNetwork) -> DecisionCache:
    assert network.cache is not None  # checked when the decider was made
    return network.cache


@partial(jax.jit, static_argnames=("network",), donate_argnames=("cache",))
def start_row(network: PolicyNetwork, params: Params, cache: Any, row: Any, query_d: Any) -> Any:
    """The cache with one row that holds the query f32[D] and no key; `params` as `network.join` gives them."""
    no_keys = jnp.zeros((0, query_d.shape[-1]), query_d.dtype)
    return _cache_of(network).start(params, cache, row, query_d, no_keys)


@partial(jax.jit, static_argnames=("network", "exact_rows"), donate_argnames=("cache",))
def step_rows(
    network: PolicyNetwork,
    params: Params,
    cache: Any,
    rows: tuple[Any, CachedDecision],
    temperature: float,
    exact_rows: bool,
) -> tuple[Array, Any]:
    """log softmax(logits / temperature) f32[B, A] of one decision for each of B rows; the cache with their new keys.

    Args:
        network: one that has a cache.
        params: as `network.join` gives them.
        cache: of all rollouts.
        rows: row of the cache i32[B], and what is decided there. Rows beyond the cache are padding.
        temperature: of the sampling policy.
        exact_rows: whether rows are computed one after the other, so that their bits do not depend on their company.
    """
    keep = _cache_of(network)

    def decide(cache: Any, rows: tuple[Any, CachedDecision]) -> tuple[Any, Array]:
        row_b, decision = rows
        logits_ba, made = keep.step(params, keep.rows(cache, row_b), decision)
        return keep.append(cache, made, row_b, decision.num_keys_b, decision.has_new_b), logits_ba

    if exact_rows:
        cache, logits_b1a = jax.lax.scan(decide, cache, jax.tree.map(lambda leaf: leaf[:, None], rows))
        logits_ba = logits_b1a[:, 0]
    else:
        cache, logits_ba = decide(cache, rows)
    return jax.nn.log_softmax(logits_ba / temperature, axis=-1), cache
