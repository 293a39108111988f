"""Official scorers of the benchmarks: pure functions (prediction, gold) -> Outcome that never raise."""

from collections.abc import Callable

from lts_jax.errors import UserError
from lts_jax.records import Outcome, Task
from lts_jax.tasks.scoring import assistantbench, gaia

SCORERS: dict[str, Callable[..., Outcome]] = {"assistantbench": assistantbench.score, "gaia": gaia.score}


def score_answer(task: Task, text: str) -> Outcome:
    """Score a final answer's text against the task's reference answer by the task's own rules.

    Raises: UserError (a ValueError) if the reference answer is withheld or `task.scoring` names no scorer. A withheld
    answer is never scored: against a placeholder even an empty answer may count as correct.
    """
    if task.answer is None:
        raise UserError(
            f"task {task.task_id}: expected a task with a reference answer, but the {task.split!r} split withholds it"
        )
    if task.scoring not in SCORERS:
        raise UserError(
            f"task {task.task_id}: expected scoring to be one of {', '.join(SCORERS)}, got {task.scoring!r}"
        )
    return SCORERS[task.scoring](text, task.answer)
