"""Scorers of answers: official ones of the benchmarks, plain ones by words, and functions of one's own."""

from collections.abc import Callable

from lts_jax.errors import UserError, show
from lts_jax.records import Outcome, Task
from lts_jax.tasks.scoring import assistantbench, gaia, words
from lts_jax.tasks.scoring.own import load_scorer, score_by

SCORERS: dict[str, Callable[..., Outcome]] = {
    "assistantbench": assistantbench.score,
    "gaia": gaia.score,
    "exact": words.exact,
    "f1": words.f1,
}
"""Pure functions (answer, reference) -> Outcome that never raise."""


def score_answer(task: Task, text: str) -> Outcome:
    """Score a final answer's text against the task's reference answer by the task's own rules.

    Raises: UserError (a ValueError) if the reference answer is withheld or `task.scoring` names no scorer. A withheld
    answer is never scored: against a placeholder even an empty answer may count as correct.
    """
    if task.answer is None:
        raise UserError(
            f"task {task.task_id}: expected a task with a reference answer, but the {task.split!r} split withholds it"
        )
    check_scorer(task.scoring, where=f"task {task.task_id}")
    if task.scoring in SCORERS:
        return SCORERS[task.scoring](text, task.answer)
    return score_by(task.scoring, text, task.answer)


def check_scorer(name: str, *, where: str) -> None:
    """See that `name` is one of `SCORERS` or names a function, as `mine.py:function` does.

    Raises:
        UserError: it is neither; one line that begins with `where`.
    """
    if name in SCORERS:
        return
    if ":" not in name:
        raise UserError(f"{where}: expected {', '.join(SCORERS)} or FILE.py:FUNCTION as its scorer, got {show(name)}")
    try:
        load_scorer(name)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
