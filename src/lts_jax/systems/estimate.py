"""What a comparison will cost before it begins: calls, tokens, dollars and hours, from rollouts that were measured."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from lts_jax.evaluation.evaluate import EvaluationSettings, arm_folder, evaluate
from lts_jax.live.task_tools import ToolChoice
from lts_jax.llm.budget import Price
from lts_jax.records import Rollout
from lts_jax.rollouts.store import read_folder, read_rollouts, rollout_files
from lts_jax.systems.comparison import LEARNED, SINGLE, ComparisonSettings, held_out_tasks, make_arm, make_policy
from lts_jax.systems.run_folder import RunFolder
from lts_jax.systems.task_source import TaskSettings
from lts_jax.systems.train_settings import TrainSettings
from lts_jax.systems.world import ModelSettings

MIN_STORED = 3  # rollouts of a policy from which its own are taken as the measure
NUM_SIMULATED = 6  # tasks of the offline world that are measured instead
PUBLISHED_TOKENS = 153_000
"""Mean of all calls of one Magentic-One team, at four characters a token: 58 published runs, all of which failed (the
Hand-Crafted part of Who&When, arXiv 2505.00212)."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Means of one rollout."""

    calls: float
    prompt_tokens: float
    completion_tokens: float
    seconds: float


@dataclass(frozen=True, slots=True)
class LineEstimate:
    """What is left of one policy, at what a rollout of it is expected to cost."""

    policy: str
    num_left: int
    num_teams: int
    cost: Cost
    measured_on: str


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is left of a comparison."""

    lines: tuple[LineEstimate, ...]
    price: Price
    num_in_flight: int

    @property
    def calls(self) -> float:
        """Calls of the model."""
        return sum(line.num_left * line.cost.calls for line in self.lines)

    @property
    def prompt_tokens(self) -> float:
        """Tokens sent."""
        return sum(line.num_left * line.cost.prompt_tokens for line in self.lines)

    @property
    def completion_tokens(self) -> float:
        """Tokens received."""
        return sum(line.num_left * line.cost.completion_tokens for line in self.lines)

    @property
    def usd(self) -> float:
        """US dollars at the price given; 0 without one."""
        return self.price.usd_of_tokens(self.prompt_tokens, self.completion_tokens)

    @property
    def hours(self) -> float:
        """Hours with `num_in_flight` rollouts side by side."""
        return sum(line.num_left * line.cost.seconds for line in self.lines) / self.num_in_flight / 3600

    @property
    def published_tokens(self) -> float:
        """Tokens if every team used `PUBLISHED_TOKENS`."""
        return sum(line.num_left * line.num_teams * PUBLISHED_TOKENS for line in self.lines)


def estimate(training: TrainSettings, settings: ComparisonSettings, folder: RunFolder | None = None) -> Estimate:
    """Estimate a comparison; what `folder` holds of it is not counted, and is the measure where there is enough.

    Raises:
        UserError: tasks that cannot be loaded.
    """
    wanted = len(held_out_tasks(training, settings)) * settings.evaluation.num_seeds
    lines = []
    for policy in settings.policies:
        stored = [] if folder is None else stored_rollouts(arm_folder(folder.evaluation, policy))
        num_teams = 1 if policy == SINGLE else training.rollout.num_teams
        cost, measured_on = _cost_of(policy, stored, training, settings)
        lines.append(LineEstimate(policy, max(0, wanted - len(stored)), num_teams, cost, measured_on))
    return Estimate(tuple(lines), training.model.price, settings.evaluation.num_in_flight)


def estimate_training(training: TrainSettings, folder: RunFolder | None = None) -> LineEstimate:
    """What is left of a training run: rollouts that admit everything are the measure until it has some of its own."""
    stored = [] if folder is None else stored_rollouts(folder.rollouts)
    wanted = training.num_iterations * training.tasks_per_update * training.collect.num_rollouts
    cost, measured_on = _cost_of(LEARNED, stored, training, ComparisonSettings())
    return LineEstimate("training", max(0, wanted - len(stored)), training.rollout.num_teams, cost, measured_on)


def estimate_text(estimate: Estimate) -> str:
    """The estimate in words, with where it comes from."""
    lines = [
        f"  {line.policy}: {line.num_left} rollouts of {line.num_teams} team{'s' * (line.num_teams > 1)}, about "
        f"{line.cost.calls:,.0f} calls and {line.cost.prompt_tokens + line.cost.completion_tokens:,.0f} tokens each "
        f"({line.measured_on})"
        for line in estimate.lines
    ]
    tokens = estimate.prompt_tokens + estimate.completion_tokens
    has_price = estimate.price != Price()
    dollars = f"${estimate.usd:,.2f}" if has_price else "dollars unknown (no --model.price)"
    lines.append(
        f"  together: {estimate.calls:,.0f} calls, {tokens:,.0f} tokens "
        f"({estimate.completion_tokens:,.0f} of them received), {dollars}, {estimate.hours:,.1f} hours"
    )
    if any("simulated" in line.measured_on for line in estimate.lines) and tokens:
        ratio = estimate.published_tokens / tokens
        more = f", ${estimate.usd * ratio:,.2f}" if has_price else ""
        lines.append(
            "  simulated pages are short: 58 published Magentic-One runs took 153,000 tokens a team, which here would "
            f"be {estimate.published_tokens:,.0f} tokens{more}; hours scale alike"
        )
    return "\n".join(["Estimate of what is left:", *lines])


def mean_cost(rollouts: Sequence[Rollout]) -> Cost:
    """Means over rollouts. Raises ValueError without any."""
    if not rollouts:
        raise ValueError("expected at least one rollout, got none")
    return Cost(
        calls=fmean(len(rollout.calls) for rollout in rollouts),
        prompt_tokens=fmean(sum(call.prompt_tokens for call in rollout.calls) for rollout in rollouts),
        completion_tokens=fmean(sum(call.completion_tokens for call in rollout.calls) for rollout in rollouts),
        seconds=fmean(rollout.seconds for rollout in rollouts),
    )


def stored_rollouts(folder: Path) -> list[Rollout]:
    """All that lies in a policy's folder: whole groups, and the finished rollouts of others."""
    if not folder.exists():
        return []
    whole = [rollout for group in read_folder(folder) for rollout in group.rollouts]
    return whole + [one for path in rollout_files(folder / "unfinished") for one in read_rollouts(path)]


def _cost_of(
    policy: str, stored: Sequence[Rollout], training: TrainSettings, settings: ComparisonSettings
) -> tuple[Cost, str]:
    if len(stored) >= MIN_STORED:
        return mean_cost(stored), f"measured on {len(stored)} of its stored rollouts"
    offline = replace(
        training, model=ModelSettings(), tools=ToolChoice(), tasks=TaskSettings(), mesh=type(training.mesh)()
    )
    chosen = "all" if policy == LEARNED else policy
    arm = make_arm(policy, offline, make_policy(chosen, offline, settings))
    small = replace(settings, evaluation=EvaluationSettings(NUM_SIMULATED, 1, num_in_flight=NUM_SIMULATED))
    [rollouts] = evaluate([arm], held_out_tasks(offline, small), small.evaluation).values()
    like = ", everything admitted" if policy == LEARNED else ""
    return mean_cost(rollouts), f"measured on {NUM_SIMULATED} tasks of the simulated world{like}"
