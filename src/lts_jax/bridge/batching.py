"""Decisions that wait for company: who waits, and when a batch is answered."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np

from lts_jax.admission.policy import ADMIT, Admission
from lts_jax.errors import UserError

Asked = TypeVar("Asked")


@dataclass(slots=True)
class DeciderCounts:
    """How well decisions were batched: decisions / (batches * batch_size) is the share of useful rows."""

    num_decisions: int = 0
    num_batches: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Waiting(Generic[Asked]):
    """One decision that waits."""

    asked: Asked
    draw: float  # uniform number in [0, 1) of this decision's coordinates
    answer: asyncio.Future[Admission] = field(repr=False)


class DecisionQueue(Generic[Asked]):
    """Groups of waiting decisions, each answered as one batch. One event loop at a time; not for several threads.

    A batch is answered as soon as a group is full, or as many requests wait as rollouts are active (one rollout on a
    virtual clock waits for one decision at a time, so nobody else can come), or the first has waited
    `max_wait_seconds`. Without `rollout_started` every request is answered at once.
    """

    def __init__(
        self,
        groups: Sequence[int],
        batch_size: int,
        max_wait_seconds: float | None,
        answer: Callable[[list[Waiting[Asked]], int], list[Admission]],
    ) -> None:
        """`answer` gets at most `batch_size` decisions of one group; what it raises goes to all of them."""
        self.counts = DeciderCounts()
        self._batch_size = batch_size
        self._max_wait_seconds = max_wait_seconds
        self._answer = answer
        self._waiting: dict[int, list[Waiting[Asked]]] = {group: [] for group in groups}
        self._num_active = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def num_waiting(self) -> int:
        """Decisions that are not answered yet."""
        return sum(len(waiting) for waiting in self._waiting.values())

    def refuse_while_waiting(self) -> None:
        """Parameters may be replaced now.

        Raises:
            RuntimeError: decisions are waiting; they were asked of the old parameters.
        """
        if self.num_waiting:
            raise RuntimeError(f"{self.num_waiting} decisions wait for the parameters that are to be replaced")

    def rollout_started(self) -> None:
        """One more rollout may ask."""
        self._num_active += 1

    def rollout_ended(self) -> None:
        """One fewer rollout may ask; those that wait may now be all there are."""
        self._num_active -= 1
        self._run_if_all_wait()

    async def ask(self, asked: Asked, draw: float, group: int) -> Admission:
        """Wait for company, then for the answer."""
        loop = asyncio.get_running_loop()
        waiting = Waiting(asked, draw, loop.create_future())
        self._waiting[group].append(waiting)
        if len(self._waiting[group]) == self._batch_size:
            self._run(group)
        else:
            self._run_if_all_wait()
        if not waiting.answer.done() and self._max_wait_seconds is not None and self._timer is None:
            self._timer = loop.call_later(self._max_wait_seconds, self._run_all)
        try:
            return await waiting.answer
        finally:
            if waiting in self._waiting[group]:  # cancelled while waiting
                self._waiting[group].remove(waiting)

    def _run_if_all_wait(self) -> None:
        if self.num_waiting >= max(1, self._num_active):
            self._run_all()

    def _run_all(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for group, waiting in self._waiting.items():
            if waiting:
                self._run(group)

    def _run(self, group: int) -> None:
        batch = [waiting for waiting in self._waiting[group] if not waiting.answer.done()]
        self._waiting[group] = []
        if not batch:
            return
        try:
            admissions = self._answer(batch, group)
        except Exception as error:
            for waiting in batch:
                waiting.answer.set_exception(error)
            return
        self.counts.num_decisions += len(batch)
        self.counts.num_batches += 1
        for waiting, admission in zip(batch, admissions, strict=True):
            waiting.answer.set_result(admission)


def admissions(
    log_prob_ba: np.ndarray, draws: Sequence[float], *, greedy: bool, min_probability: float = 0.0
) -> list[Admission]:
    """Actions by inverse CDF with one uniform number each, or the likeliest, which is certain.

    While sampling, neither of two actions is rarer than `min_probability`.

    Raises:
        FloatingPointError: a log-probability is not finite.
        UserError: more than two actions, of which nobody here could say what they are of.
    """
    if not np.isfinite(log_prob_ba).all():
        raise FloatingPointError("the controller's log-probabilities are not finite; check its parameters")
    if min_probability and not greedy:
        if log_prob_ba.shape[-1] != 2:
            raise UserError(f"min_probability: expected two actions, got {log_prob_ba.shape[-1]}")
        log_prob_ba = np.log(np.clip(np.exp(log_prob_ba), min_probability, 1.0 - min_probability))
    if log_prob_ba.shape[-1] != 2:
        raise UserError(
            f"the controller of text teams: expected a network of two actions, reject and admit, got "
            f"{log_prob_ba.shape[-1]}; edits are for an admission rule of your own"
        )
    return [_admission(log_prob_a, draw, greedy=greedy) for log_prob_a, draw in zip(log_prob_ba, draws, strict=True)]


def _admission(log_prob_a: np.ndarray, draw: float, *, greedy: bool) -> Admission:
    probability_a = np.exp(log_prob_a)
    admit_probability = float(probability_a[ADMIT])
    if greedy:
        return Admission(int(np.argmax(log_prob_a)), 0.0, admit_probability)
    action = min(int(np.searchsorted(np.cumsum(probability_a), draw, side="right")), len(log_prob_a) - 1)
    return Admission(action, float(log_prob_a[action]), admit_probability)
