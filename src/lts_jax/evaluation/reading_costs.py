"""What another reader saves in tokens: the selection calls that it does without, apart from what a context costs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from lts_jax.evaluation.statistics import Cell, Interval, difference_interval, pair_cells
from lts_jax.records import Rollout

READ_BY = " read by "
"""Between a line of a comparison and the reader that it is run with, where that is not the run's own."""

SELECTION = "select"


@dataclass(frozen=True, slots=True)
class ReadingCost:
    """A line with another reader against the same line without it, paired over tasks and seeds; a rollout's means."""

    line: str
    selection_tokens_saved: Interval  # of the calls that ask the model what to read
    other_tokens_saved: Interval  # of all other calls, by a shorter or longer context and other steps
    score_difference: Interval


def reading_costs(rollouts_by_line: Mapping[str, Sequence[Rollout]]) -> tuple[ReadingCost, ...]:
    """One for each line that another line is the counterpart of."""
    found = []
    for line, rollouts in rollouts_by_line.items():
        own, _, reader = line.partition(READ_BY)
        if reader and own in rollouts_by_line:
            without = rollouts_by_line[own]
            found.append(
                ReadingCost(
                    line,
                    _saved(without, rollouts, selection_tokens),
                    _saved(without, rollouts, lambda one: one.tokens - selection_tokens(one)),
                    _saved(rollouts, without, lambda one: one.reward_agg),
                )
            )
    return tuple(found)


def selection_tokens(rollout: Rollout) -> int:
    """Prompt and completion tokens of the calls that ask the model what to read."""
    return sum(call.prompt_tokens + call.completion_tokens for call in rollout.calls if call.purpose == SELECTION)


def told(cost: ReadingCost) -> str:
    """The cost in one sentence."""
    selection, other, score = cost.selection_tokens_saved, cost.other_tokens_saved, cost.score_difference
    return (
        f"{cost.line}, against the same without that reader: saves {_text(selection, ',.0f')} tokens of selection "
        f"calls and, apart from these, {_text(other, ',.0f')} of all others a rollout; score {_text(score, '+.3f')}."
    )


def _saved(more: Sequence[Rollout], less: Sequence[Rollout], value: Callable[[Rollout], float]) -> Interval:
    return difference_interval(pair_cells(_cells(less, value), _cells(more, value)))


def _cells(rollouts: Sequence[Rollout], value: Callable[[Rollout], float]) -> dict[Cell, float]:
    return {(one.task.task_id, one.coordinates.seed, one.coordinates.rollout): float(value(one)) for one in rollouts}


def _text(value: Interval, form: str) -> str:
    return f"{value.estimate:{form}} [{value.low:{form}}, {value.high:{form}}]"
