"""What becomes of each finished rollout of a collection: stored, held until the endpoint proves to work, or the end."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from lts_jax.errors import UserError
from lts_jax.llm.chat import FailureKind
from lts_jax.records import Coordinates, Rollout, RolloutGroup
from lts_jax.rollouts.failed_calls import common_failure, endpoint_failure
from lts_jax.rollouts.outcomes import ran_out_of_budget
from lts_jax.rollouts.restart import forget_unfinished, unfinished_path
from lts_jax.rollouts.rows import redacted_here, row_of
from lts_jax.rollouts.store import content_of, group_path
from lts_jax.rollouts.writing import Writer, Writing

MOST_FAILED = 3  # rollouts one after the other that the endpoint failed, at which a collection stops


class Keeper:
    """Keeps the rollouts of a collection by their tasks.

    One whose calls mostly failed for one reason waits for the next that works: then the reason lay in what was asked,
    and it is stored without a score.
    """

    def __init__(
        self,
        task_ids: Sequence[str],
        num_rollouts: int,
        folder: Path | None,
        on_rollout: Callable[[Rollout], None] | None,
        *,
        each: bool,
    ) -> None:
        """`num_rollouts` make a group. `each`: single rollouts of a group that is not whole are stored as well."""
        self.done: dict[str, RolloutGroup] = {}
        self.finished: dict[str, list[Rollout]] = {task_id: [] for task_id in task_ids}
        self._num_rollouts, self._folder, self._on_rollout, self._each = num_rollouts, folder, on_rollout, each
        self._failed: list[tuple[Rollout, bytes]] = []  # since the last that worked
        self._rows: dict[Coordinates, _Row] = {}  # of groups that are not whole
        self._writer = Writer()
        self._has_stored = self._has_worked = False

    def take_stored(self) -> None:
        """Tell of what `finished` holds already; groups that have become whole are stored as such."""
        for siblings in self.finished.values():
            for rollout in siblings:
                self._has_stored = True
                if self._on_rollout is not None:
                    self._on_rollout(rollout)
            if len(siblings) == self._num_rollouts and siblings[0].task.task_id not in self.done:
                self._finish_group(siblings)

    def keep(self, rollout: Rollout, row: bytes = b"") -> None:
        """Take one that has ended, with its row if it was made where the rollout was run.

        Raises:
            UserError: the budget is used up, or the endpoint fails as a whole, or has failed a few one after the other.
            OSError: what was given before could not be written.
        """
        if ran_out_of_budget(rollout.answers):
            raise UserError("the budget of the run is used up; raise --model.budget and give the same command again")
        down = endpoint_failure(rollout.calls)
        if down:
            raise UserError(f"{down}; nothing of this rollout is stored, and the same command goes on from here")
        if common_failure(rollout.calls) is not None:
            self._failed.append((rollout, row))
            if len(self._failed) >= MOST_FAILED:
                raise UserError(_refusal(self._all_failed))
            return
        self._has_worked = True
        self._store(rollout, row)
        self._store_failed()

    def end(self) -> None:
        """Take it that no more come.

        Raises:
            UserError: the endpoint failed all that were run.
        """
        failed = self._all_failed
        if failed and not self._has_worked and not (self._has_stored and all(map(_is_held_back, failed))):
            raise UserError(_refusal(failed))
        self._store_failed()

    def close(self) -> None:
        """Wait until everything that is to be stored is. Raises `OSError` if it cannot be."""
        self._writer.close()

    @property
    def _all_failed(self) -> list[Rollout]:
        return [rollout for rollout, _ in self._failed]

    def _store_failed(self) -> None:
        while self._failed:
            self._store(*self._failed.pop(0))

    def _store(self, rollout: Rollout, row: bytes) -> None:
        siblings = self.finished[rollout.task.task_id]
        siblings.append(rollout)
        place = rollout.coordinates
        if self._folder is not None:
            self._rows[place] = _Row(rollout, row)
        if self._on_rollout is not None:
            self._on_rollout(rollout)
        if len(siblings) == self._num_rollouts:
            self._finish_group(siblings)
        elif self._folder is not None and self._each:
            path = unfinished_path(self._folder, place.iteration, rollout.task, place.rollout)
            self._writer.put(Writing(path, self._rows[place].content))

    def _finish_group(self, siblings: list[Rollout]) -> None:
        siblings.sort(key=lambda one: one.coordinates.rollout)
        first = siblings[0]
        group = RolloutGroup(first.task, first.coordinates.iteration, tuple(siblings))
        self.done[group.task.task_id] = group
        if self._folder is None:
            return
        folder, task, iteration = self._folder, group.task, group.iteration
        rows = [self._rows.pop(one.coordinates, _Row(one)) for one in siblings]  # some were stored before
        path = group_path(folder, iteration, task.task_id)
        alone = [unfinished_path(folder, iteration, task, one.coordinates.rollout) for one in siblings]

        def content() -> bytes:
            return content_of(path, [row.content() for row in rows])

        self._writer.put(Writing(path, content, tuple(alone), partial(forget_unfinished, folder, group)))


class _Row:
    """The row of a rollout, made once, when it is first needed: in the thread that writes."""

    def __init__(self, rollout: Rollout, made_elsewhere: bytes = b"") -> None:
        self._rollout, self._elsewhere, self._made = rollout, made_elsewhere, b""

    def content(self) -> bytes:
        self._made = self._made or (redacted_here(self._elsewhere) if self._elsewhere else row_of(self._rollout))
        return self._made


def _refusal(failed: Sequence[Rollout]) -> str:
    """What the endpoint refuses, what to do, and how much of it was refused."""
    found = [reason for rollout in failed if (reason := common_failure(rollout.calls)) is not None]
    num_calls = sum(len(rollout.calls) for rollout in failed)
    many = f"{len(failed)} rollouts" if len(failed) > 1 else "a rollout"
    return (
        f"{found[-1].told()} ({sum(reason.num_calls for reason in found)} of {num_calls} calls of {many} failed; "
        "nothing of them is stored, and the same command goes on from here)"
    )


def _is_held_back(rollout: Rollout) -> bool:
    """Whether a filter of the endpoint refused the rollout for what it says: asking again would change nothing."""
    reason = common_failure(rollout.calls)
    return reason is not None and reason.kind == FailureKind.HELD_BACK
