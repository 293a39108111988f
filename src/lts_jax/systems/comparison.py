"""The comparison that every controller must stand: Magentic-One, M1-Parallel, every rule, and the learned controller.

All lines share tasks, seeds, teams, model and bank; only the admission policy differs (and, for Magentic-One, the
number of teams). Random and similarity also run at the learned controller's own admission rate.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from lts_jax.admission.policy import AdmissionPolicy
from lts_jax.admission.rules import make_rule, rule_part
from lts_jax.bridge.learned import LearnedPolicy
from lts_jax.errors import UserError
from lts_jax.evaluation.evaluate import Arm, EvaluationSettings, evaluate
from lts_jax.evaluation.reading_costs import READ_BY
from lts_jax.llm.budget import Budget
from lts_jax.memory.making_readers import reader_part
from lts_jax.records import Rollout, Task
from lts_jax.rollouts.executor import LOCAL, Executor
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.systems.run_folder import RunFolder
from lts_jax.systems.run_parts import RunParts, as_parts
from lts_jax.systems.task_source import refuse_leak
from lts_jax.systems.train_settings import TrainSettings

LEARNED = "lts"
VALUE = "admission_value"
SINGLE = "magentic_one"
REFERENCE = "m1_parallel"
MATCHED = ("random_matched", "similarity_matched")
POLICIES = (
    SINGLE, REFERENCE, "all", "random", "recency", "similarity", "judge", "orchestrator", LEARNED, *MATCHED,
)  # fmt: skip
"""The lines of a comparison where none are named."""


@dataclass(frozen=True, slots=True)
class ComparisonSettings:
    """Which lines are compared. A line is a rule, named by a call, or one of the comparison's own."""

    policies: tuple[str, ...] = POLICIES
    """lts (the trained controller of the run; called admission_value where that was its objective), magentic_one,
    m1_parallel (the reference, always needed), random_matched, similarity_matched, or a rule such as
    similarity(threshold=0.6) or mine.py:function."""
    beside: tuple[Path, ...] = ()
    """Run folders whose trained controllers are compared too, each as a line of its own."""
    reading: tuple[str, ...] = ()
    """Readers, as cosine(top=2), beside the run's own: every line that reads is run once more with each of them."""
    num_matching_tasks: int = 12  # validation tasks on which the matched similarity threshold is found
    evaluation: EvaluationSettings = field(default_factory=EvaluationSettings)

    def __post_init__(self) -> None:
        if self.num_matching_tasks < 1:
            raise UserError(f"num_matching_tasks: expected at least 1, got {self.num_matching_tasks}")
        names = tuple(LEARNED if policy == VALUE else line_name(policy) for policy in self.policies)
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise UserError(f"policies: expected each line once, got {twice} twice")
        if REFERENCE not in names:
            raise UserError(f"policies: the comparison needs its reference {REFERENCE}")
        if set(MATCHED) & set(names) and LEARNED not in names:
            raise UserError(f"policies: {MATCHED[0]} and {MATCHED[1]} need {LEARNED}, whose rate they match")
        readers = tuple(reader_part(reader, where="reading").text for reader in self.reading)
        again = next((reader for reader in readers if readers.count(reader) > 1), None)
        if again is not None:
            raise UserError(f"reading: expected each reader once, got {again} twice")
        object.__setattr__(self, "reading", readers)
        object.__setattr__(self, "policies", (*(one for one in names if one not in MATCHED), *_matched_lines(names)))


def line_name(policy: str, *, where: str = "policies") -> str:
    """The canonical text of a line.

    Raises:
        UserError: no line and no rule of this name.
    """
    return policy if policy in (LEARNED, VALUE, SINGLE, REFERENCE, *MATCHED) else rule_part(policy, where=where).text


def policies_of_line(name: str) -> str:
    """How the name of the policy begins in every rollout of a line."""
    own = {SINGLE: "none", REFERENCE: "none", MATCHED[0]: "random(", MATCHED[1]: "similarity("}
    name = name.partition(READ_BY)[0]
    return "learned:" if is_learned(name) else own.get(name, name)


def own_line(objective: str) -> str:
    """What the trained controller of a run is called, by the text of its objective."""
    return VALUE if objective.partition("(")[0] == VALUE else LEARNED


def is_learned(line: str) -> bool:
    """Whether a line is of a trained controller; of two of one name the second is called after its folder, lts@B."""
    return line.partition(READ_BY)[0].partition("@")[0] in (LEARNED, VALUE)


def reads(line: str) -> bool:
    """Whether the teams of a line read a shared memory at all."""
    return line not in (SINGLE, REFERENCE)


def _matched_lines(names: Sequence[str]) -> tuple[str, ...]:
    """The lines that need the learned one's rate, which come after it."""
    return tuple(name for name in names if name in MATCHED)


@dataclass(frozen=True, slots=True)
class TrainedPolicy:
    """A trained controller, and the tasks that it was trained on; None: those of the training in hand."""

    policy: LearnedPolicy
    tasks: Sequence[Task] | None = None


def run_comparison(
    folder: RunFolder,
    training: TrainSettings | RunParts,
    settings: ComparisonSettings,
    trained: Mapping[str, TrainedPolicy],
    on_rollout: Callable[[str, Rollout], None] | None = None,
    *,
    budget: Budget | None = None,
    executor: Executor = LOCAL,
) -> dict[str, list[Rollout]]:
    """Rollouts of every line on the held-out test tasks, stored in the run folder; what lies there is not run again.

    `trained` are the run's own controller and those of the runs beside it, by their lines, which stand where the
    policies name lts. Pass a `budget` to know afterwards what is left of it. `executor` runs what is not stored.

    Raises:
        UserError: a task of the test is among those trained on, or the budget is used up.
    """
    run = as_parts(training)
    tasks = held_out_tasks(run, settings)
    for one in trained.values():
        refuse_leak(train_tasks(run) if one.tasks is None else one.tasks, tasks)
    own = own_line(run.settings.objective)
    names = [line for name in settings.policies for line in (trained or [own] if name == LEARNED else [name])]
    for reader in settings.reading:
        run.reader(reader)  # what cannot be made is said before anything is run
    if settings.reading and run.settings.rollout.reading.by == "code":
        raise UserError("reading: values are read by programs in this run (rollout.reading.by), so no reader chooses")
    if set(MATCHED) & set(settings.policies):
        run.tasks("validation", settings.num_matching_tasks)
    budget = Budget(run.settings.model.budget) if budget is None else budget
    finished: dict[str, list[Rollout]] = {}
    for name in names:
        if name in trained:
            policy: AdmissionPolicy = trained[name].policy
        elif is_learned(name):
            raise UserError(f"policies: {name} needs a trained controller")
        else:
            policy = make_policy(name, run, settings, finished.get(own, ()), budget, executor)
        arms = [make_arm(name, run, policy, budget)]
        arms += [make_arm(name, run, policy, budget, reader) for reader in settings.reading if reads(name)]
        for arm in arms:
            finished |= evaluate([arm], tasks, settings.evaluation, folder.evaluation, on_rollout, executor)
    return finished


def train_tasks(training: TrainSettings | RunParts) -> tuple[Task, ...]:
    """What a controller of these settings is trained on."""
    run = as_parts(training)
    return run.tasks("train", run.settings.num_tasks)


def held_out_tasks(training: TrainSettings | RunParts, settings: ComparisonSettings) -> tuple[Task, ...]:
    """The held-out tasks: of the offline world as many as asked for, of other sources all that their settings name."""
    return as_parts(training).tasks("test", settings.evaluation.num_tasks)


def make_arm(
    name: str,
    training: TrainSettings | RunParts,
    policy: AdmissionPolicy,
    budget: Budget | None = None,
    reading: str | None = None,
) -> Arm:
    """One line of the comparison: the training run's world, model and teams under another policy, or another reader."""
    run = as_parts(training)
    parts = run.rollout_parts(policy, budget or Budget(run.settings.model.budget), reading)
    rollout = run.settings.rollout
    decider = policy.decider if isinstance(policy, LearnedPolicy) else None
    shown = name if reading is None else f"{name}{READ_BY}{reading}"
    return Arm(shown, parts, _alone(rollout) if name == SINGLE else rollout, decider)


def _alone(rollout: RolloutSettings) -> RolloutSettings:
    """The same with one team, which no quorum waits for."""
    return replace(rollout, num_teams=1, parallel=replace(rollout.parallel, quorum=1))


def make_policy(
    name: str,
    training: TrainSettings | RunParts,
    settings: ComparisonSettings,
    learned: Sequence[Rollout] = (),
    budget: Budget | None = None,
    executor: Executor = LOCAL,
) -> AdmissionPolicy:
    """The policy of a line without learning; `learned` are the learned line's rollouts, for the matched ones.

    Raises:
        UserError: no rule of this name.
    """
    run = as_parts(training)
    if name in MATCHED and not learned:
        raise UserError(f"policy {name} needs rollouts of the learned controller, whose rate it matches")
    if name == MATCHED[0]:
        return make_rule(f"random(rate={admission_fraction(learned)!r})", run.encoder)
    if name == MATCHED[1]:
        threshold = matched_threshold(run, settings, admission_fraction(learned), budget, executor)
        return make_rule(f"similarity(threshold={threshold!r})", run.encoder)
    return make_rule("none" if name in (SINGLE, REFERENCE) else name, run.encoder)


def admission_fraction(rollouts: Sequence[Rollout]) -> float:
    """Admitted decisions over all decisions of these rollouts."""
    decisions = [decision for rollout in rollouts for decision in rollout.decisions]
    return sum(decision.entry >= 0 for decision in decisions) / max(1, len(decisions))


def matched_threshold(
    training: TrainSettings | RunParts,
    settings: ComparisonSettings,
    wanted_fraction: float,
    budget: Budget | None = None,
    executor: Executor = LOCAL,
) -> float:
    """The similarity threshold whose admission fraction on validation tasks is nearest to `wanted_fraction`.

    Found by bisection, since a higher threshold admits more. Rates outside what the rule can reach get its limit.
    """
    run = as_parts(training)
    tasks = run.tasks("validation", settings.num_matching_tasks)
    evaluation = replace(settings.evaluation, num_seeds=1, num_tasks=len(tasks))
    low, high = 0.0, 1.0
    tried: list[tuple[float, float]] = []
    for _ in range(6):
        threshold = (low + high) / 2
        policy = make_rule(f"similarity(threshold={threshold!r})", run.encoder)
        arm = make_arm("similarity", run, policy, budget)
        found = admission_fraction(evaluate([arm], tasks, evaluation, executor=executor)["similarity"])
        tried.append((abs(found - wanted_fraction), threshold))
        low, high = (threshold, high) if found < wanted_fraction else (low, threshold)
    return min(tried)[1]
