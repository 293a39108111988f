"""Which answers of a rollout count, and for what. One first finisher, for rewards and reports alike."""

from collections.abc import Sequence

from lts_jax.records import Answer, StopReason

OWN_END = frozenset({StopReason.SATISFIED, StopReason.ROUND_LIMIT, StopReason.REPLAN_LIMIT})
"""A team that ended like this worked to its own end; others were stopped, ran out of budget, or broke down."""


def has_own_end(answer: Answer) -> bool:
    """Whether the team worked to its own end and said something."""
    return answer.stop_reason in OWN_END and bool(answer.text.strip())


def first_finisher(answers: Sequence[Answer]) -> Answer | None:
    """The earliest answer of a team that worked to its own end; the lower team at a tie; None if no team did."""
    finished = [answer for answer in answers if has_own_end(answer)]
    return min(finished, key=lambda answer: (answer.seconds, answer.team), default=None)


def ran_out_of_budget(answers: Sequence[Answer]) -> bool:
    """Whether any team was stopped by the run's budget, so that the rollout says nothing of its policy."""
    return any(answer.stop_reason == StopReason.BUDGET for answer in answers)
