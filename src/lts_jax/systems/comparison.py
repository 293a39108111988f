"""The comparison that every controller must stand: Magentic-One, M1-Parallel, every rule, and the learned controller.

All lines share tasks, seeds, teams, model and bank; only the admission policy differs (and, for Magentic-One, the
number of teams). Random and similarity also run at the learned controller's own admission rate.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from lts_jax.admission.policy import AdmissionPolicy
from lts_jax.admission.rules import RULES
from lts_jax.bridge.learned import Decider, LearnedPolicy
from lts_jax.errors import UserError
from lts_jax.evaluation.evaluate import Arm, EvaluationSettings, evaluate
from lts_jax.llm.budget import Budget
from lts_jax.records import Rollout, Task
from lts_jax.systems.lts import TrainSettings, rollout_parts
from lts_jax.systems.run_folder import RunFolder
from lts_jax.systems.task_source import refuse_leak, source_tasks
from lts_jax.systems.world import make_encoder

LEARNED = "lts"
SINGLE = "magentic_one"
REFERENCE = "m1_parallel"
MATCHED = ("random_matched", "similarity_matched")
POLICIES = (
    SINGLE, REFERENCE, "all", "random", "recency", "similarity", "judge", "orchestrator", LEARNED, *MATCHED,
)  # fmt: skip
"""Lines of the comparison, in the order in which they run: the matched ones need the learned one's rate."""

POLICY_NAMES = {
    SINGLE: "none", REFERENCE: "none", "all": "all", "random": "random(", "recency": "recency(",
    "similarity": "similarity(", "judge": "judge", "orchestrator": "orchestrator", LEARNED: "learned:",
    "random_matched": "random(", "similarity_matched": "similarity(",
}  # fmt: skip
"""How the name of a line's policy begins, as it stands in its rollouts."""


@dataclass(frozen=True, slots=True)
class ComparisonSettings:
    """Which lines, and how the rules among them are set."""

    policies: tuple[str, ...] = POLICIES  # lines to run; m1_parallel, the reference, must be among them
    random_rate: float = 0.5  # probability that the line "random" admits a step
    recency_window: int = 10  # newest keys that the line "recency" lists
    similarity_threshold: float = 0.8  # cosine from which the line "similarity" takes a summary for a repeat
    num_matching_tasks: int = 12  # validation tasks on which the matched similarity threshold is found
    evaluation: EvaluationSettings = field(default_factory=EvaluationSettings)

    def __post_init__(self) -> None:
        if not 0.0 <= self.random_rate <= 1.0:
            raise UserError(f"random_rate must be in [0, 1], got {self.random_rate}")
        if not -1.0 <= self.similarity_threshold <= 1.0:
            raise UserError(f"similarity_threshold must be a cosine in [-1, 1], got {self.similarity_threshold}")
        for count in ("recency_window", "num_matching_tasks"):
            if getattr(self, count) < 1:
                raise UserError(f"{count} must be at least 1, got {getattr(self, count)}")
        unknown = [name for name in self.policies if name not in POLICIES]
        if unknown:
            raise UserError(f"policies: expected some of {', '.join(POLICIES)}, got {unknown[0]!r}")
        if REFERENCE not in self.policies:
            raise UserError(f"policies: the comparison needs its reference {REFERENCE!r}")
        if set(MATCHED) & set(self.policies) and LEARNED not in self.policies:
            raise UserError(f"policies: {MATCHED[0]!r} and {MATCHED[1]!r} need {LEARNED!r}, whose rate they match")


def run_comparison(
    folder: RunFolder,
    training: TrainSettings,
    settings: ComparisonSettings,
    learned: LearnedPolicy | None,
    on_rollout: Callable[[str, Rollout], None] | None = None,
    *,
    trained_on: Sequence[Task] | None = None,
    budget: Budget | None = None,
) -> dict[str, list[Rollout]]:
    """Rollouts of every line on the held-out test tasks, stored in the run folder; what lies there is not run again.

    `trained_on` are the tasks that `learned` was trained on, by default those of `training`. Pass a `budget` to know
    afterwards what is left of it.

    Raises:
        UserError: a task of the test is among those trained on, or the budget is used up.
    """
    tasks = held_out_tasks(training, settings)
    if learned is not None and LEARNED in settings.policies:
        refuse_leak(train_tasks(training) if trained_on is None else trained_on, tasks)
    if set(MATCHED) & set(settings.policies):
        source_tasks(training.tasks, training.world_seed, "validation", settings.num_matching_tasks)
    budget = Budget(training.model.budget) if budget is None else budget
    finished: dict[str, list[Rollout]] = {}
    for name in [name for name in POLICIES if name in settings.policies]:
        policy = (
            learned if name == LEARNED else make_policy(name, training, settings, finished.get(LEARNED, ()), budget)
        )
        if policy is None:
            raise UserError(f"policies: {LEARNED!r} needs a trained controller")
        arm = make_arm(name, training, policy, budget)
        finished |= evaluate([arm], tasks, settings.evaluation, folder.evaluation, on_rollout)
    return finished


def train_tasks(training: TrainSettings) -> tuple[Task, ...]:
    """What a controller of these settings is trained on."""
    return source_tasks(training.tasks, training.world_seed, "train", training.num_tasks)


def held_out_tasks(training: TrainSettings, settings: ComparisonSettings) -> tuple[Task, ...]:
    """The held-out tasks: of the offline world as many as asked for, of a benchmark all that its settings name."""
    return source_tasks(training.tasks, training.world_seed, "test", settings.evaluation.num_tasks)


def make_arm(name: str, training: TrainSettings, policy: AdmissionPolicy, budget: Budget | None = None) -> Arm:
    """One line of the comparison: the training run's world, model and teams under another policy."""
    parts = rollout_parts(training, policy, budget or Budget(training.model.budget))
    rollout = replace(training.rollout, num_teams=1) if name == SINGLE else training.rollout
    return Arm(name, parts, rollout, _decider(policy))


def _decider(policy: AdmissionPolicy) -> Decider | None:
    return policy.decider if isinstance(policy, LearnedPolicy) else None


def make_policy(
    name: str,
    training: TrainSettings,
    settings: ComparisonSettings,
    learned: Sequence[Rollout] = (),
    budget: Budget | None = None,
) -> AdmissionPolicy:
    """The policy of a line without learning; `learned` are the learned line's rollouts, for the matched ones.

    Raises:
        UserError: unknown name.
    """
    if name in {SINGLE, REFERENCE}:
        return RULES["none"]()
    if name == "random":
        return RULES["random"](rate=settings.random_rate)
    if name == "recency":
        return RULES["recency"](window=settings.recency_window)
    if name == "similarity":
        return _similarity(training, settings.similarity_threshold)
    if name in MATCHED and not learned:
        raise UserError(f"policy {name!r} needs rollouts of the learned controller, whose rate it matches")
    if name == "random_matched":
        return RULES["random"](rate=admission_fraction(learned))
    if name == "similarity_matched":
        return _similarity(training, matched_threshold(training, settings, admission_fraction(learned), budget))
    if name not in RULES:
        raise UserError(f"policy: expected one of {', '.join(POLICIES)}, got {name!r}")
    return RULES[name]()


def _similarity(training: TrainSettings, threshold: float) -> AdmissionPolicy:
    return RULES["similarity"](make_encoder(training.encoder), threshold=threshold)


def admission_fraction(rollouts: Sequence[Rollout]) -> float:
    """Admitted decisions over all decisions of these rollouts."""
    decisions = [decision for rollout in rollouts for decision in rollout.decisions]
    return sum(decision.entry >= 0 for decision in decisions) / max(1, len(decisions))


def matched_threshold(
    training: TrainSettings, settings: ComparisonSettings, wanted_fraction: float, budget: Budget | None = None
) -> float:
    """The similarity threshold whose admission fraction on validation tasks is nearest to `wanted_fraction`.

    Found by bisection, since a higher threshold admits more. Rates outside what the rule can reach get its limit.
    """
    tasks = source_tasks(training.tasks, training.world_seed, "validation", settings.num_matching_tasks)
    evaluation = replace(settings.evaluation, num_seeds=1, num_tasks=len(tasks))
    low, high = 0.0, 1.0
    tried: list[tuple[float, float]] = []
    for _ in range(6):
        threshold = (low + high) / 2
        arm = make_arm("similarity", training, _similarity(training, threshold), budget)
        found = admission_fraction(evaluate([arm], tasks, evaluation)["similarity"])
        tried.append((abs(found - wanted_fraction), threshold))
        low, high = (threshold, high) if found < wanted_fraction else (low, threshold)
    return min(tried)[1]
