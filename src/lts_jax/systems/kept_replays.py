"""Replays of a finished run's rollouts for credit, kept in the run folder: a kill loses those of one rollout at most.

Replayed is with the run's own settings on simulated teams; live models meet no world twice. Places that only a replay
has are decided by the rule of the line, or by the controller that the run ended with.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

from lts_jax.admission.policy import AdmissionPolicy
from lts_jax.admission.rules import make_rule
from lts_jax.bridge.flips import course
from lts_jax.bridge.learned import LearnedPolicy
from lts_jax.bridge.stored_replays import Found, Key, Outcome, arrays, changes, replay
from lts_jax.errors import UserError
from lts_jax.evaluation.evaluate import arm_folder
from lts_jax.evaluation.reading_costs import READ_BY
from lts_jax.llm.budget import Budget
from lts_jax.llm.chat import BudgetExhausted
from lts_jax.records import Rollout, RolloutGroup
from lts_jax.rollouts.restart import spend
from lts_jax.rollouts.rollout import RolloutParts
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.rollouts.store import group_path, write_table
from lts_jax.storage import read_parquet
from lts_jax.systems.comparison import make_arm
from lts_jax.systems.lts import learned_policy, trained_params
from lts_jax.systems.run_folder import RunFolder
from lts_jax.systems.run_parts import RunParts
from lts_jax.trajectory import Coalitions, FlippedRollouts, RegroupedRollouts

TRAINING = "training"


@dataclass(frozen=True, slots=True)
class Replayer:
    """Replays what is not kept yet of one line of a run.

    Attributes:
        parts: model and tools of the line.
        settings: its rollout settings.
        otherwise: what decides at places that only a replay has.
        folder: where replays are kept.
        run: whose padding and budget hold; of the budget replays have as much as the run had.
        budget: what replays have spent.
    """

    parts: RolloutParts
    settings: RolloutSettings
    otherwise: AdmissionPolicy
    folder: Path
    run: RunParts
    budget: Budget = field(repr=False)

    def missing(self, groups: Sequence[RolloutGroup], kinds: frozenset[str]) -> int:
        """Replays that are still to be run.

        Raises:
            UserError: decisions that edit.
        """
        rollouts = [rollout for group in groups for rollout in group.rollouts]
        return sum(
            len(changes(kind, one, self.otherwise))
            for kind in sorted(kinds)
            for one in rollouts
            if self._kept(kind, one) is None
        )

    def replayed(
        self, group: RolloutGroup, kind: str, on_replay: Callable[[Rollout], None]
    ) -> FlippedRollouts | RegroupedRollouts | Coalitions:
        """What a scheme reads of this kind; what is not kept is replayed, and kept a rollout at a time.

        Raises:
            UserError: the budget is used up, decisions that edit, or a rollout that does not replay to itself.
        """
        found = [self._kept(kind, one) or self._run(kind, one, on_replay) for one in group.rollouts]
        return arrays(kind, group, found, self.run.settings.padding)

    def _run(self, kind: str, rollout: Rollout, on_replay: Callable[[Rollout], None]) -> Found:
        wanted = changes(kind, rollout, self.otherwise)
        if not wanted:
            return {}
        try:
            self.budget.check()
        except BudgetExhausted as error:
            raise UserError(f"budget: {error} by replays; those before are kept: raise it and run this again") from None

        def note(again: Rollout) -> None:
            spend(self.budget, (again,))
            on_replay(again)

        found = replay(
            rollout,
            wanted,
            self.parts,
            self.settings,
            otherwise=self.otherwise,
            num_in_flight=self.run.settings.collect.num_in_flight,
            counter=self.otherwise.decider if isinstance(self.otherwise, LearnedPolicy) else None,
            on_replay=note,
        )
        write_table(self._path(kind, rollout), [_row(key, one, rollout) for key, one in found.items()])
        return found

    def _kept(self, kind: str, rollout: Rollout) -> Found | None:
        """What is kept of a rollout; None where there is nothing, or that of another rollout with its coordinates."""
        path = self._path(kind, rollout)
        if not path.exists():
            return None
        rows = read_parquet(path).to_pylist()
        if any(row["of"] != _digest(rollout) for row in rows):
            return None
        return {
            (row["first"], row["second"], row["third"]): Outcome(row["reward_agg"], row["reward_first"], row["seconds"])
            for row in rows
        }

    def _path(self, kind: str, rollout: Rollout) -> Path:
        place = rollout.coordinates
        group = group_path(self.folder / kind, place.iteration, rollout.task.task_id)
        return group.with_name(f"{group.stem}-{place.seed}-{place.rollout}.parquet")


def _row(key: Key, one: Outcome, rollout: Rollout) -> dict[str, object]:
    first, second, third = key
    return {
        "first": first,
        "second": second,
        "third": third,
        "reward_agg": one.reward_agg,
        "reward_first": one.reward_first,
        "seconds": one.seconds,
        "of": _digest(rollout),
    }


def _digest(rollout: Rollout) -> str:
    return blake2b(repr(course(rollout)).encode(), digest_size=8).hexdigest()


def make_replayer(folder: RunFolder, run: RunParts, line: str, group: RolloutGroup) -> Replayer:
    """What replays the rollouts of a line, of which `group` is one group.

    Raises:
        UserError: one line: the run is live, or the line is of a controller that another run has trained.
    """
    name, _, reading = line.partition(READ_BY)
    policy = group.rollouts[0].policy
    if "@" in name:
        raise UserError(f"{line}: its controller is of another run; replay it from there")
    if policy.startswith("learned:"):
        otherwise: AdmissionPolicy = learned_policy(run, trained_params(folder, run), greedy=line != TRAINING)
    else:
        otherwise = make_rule(policy, run.encoder)
    budget = Budget(run.settings.model.budget)
    arm = make_arm("training" if line == TRAINING else name, run, otherwise, Budget(), reading or None)
    place = arm_folder(folder.replays, line)
    return Replayer(arm.parts, arm.rollout, otherwise, place, run, budget)


def refuse_live(run: RunParts, name: str, groups: Sequence[RolloutGroup], kinds: frozenset[str]) -> None:
    """Refuse replays of live models, and say how many they would be.

    Raises:
        UserError: models or tools of the run take real time.
    """
    if run.virtual_time and all(one.clock == "virtual" for group in groups for one in group.rollouts):
        return
    never = make_rule("none", run.encoder)
    rollouts = [one for group in groups for one in group.rollouts]
    num_replays = sum(len(changes(kind, one, never)) for kind in kinds for one in rollouts)
    raise UserError(
        f"credit scheme {name}: replays rollouts, and a live model meets no world twice; "
        f"these would be {num_replays} rollouts for {len(rollouts)} that are stored"
    )
