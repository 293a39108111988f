"""How `lts system knowsr` trains learners with and without lessons, and in which worlds."""

from dataclasses import dataclass, field, replace
from typing import get_args

from lts_jax.errors import UserError, show
from lts_jax.learning.distillation import SharingSettings, Teachers
from lts_jax.learning.ppo import PpoSettings

WORLDS: tuple[str, ...] = ("mpe_spread", "mpe_tag", "bottleneck", "ledger")
ARMS: tuple[str, ...] = ("independent", *(f"taught by {name}" for name in get_args(Teachers)))
NUM_AGENTS = {"mpe_spread": 3, "mpe_tag": 4, "bottleneck": 2}
ROLES = {"mpe_spread": (0, 0, 0), "mpe_tag": (0, 0, 0, 1), "bottleneck": (0, 0)}  # pursuers, and who is pursued
MPE_STEPS = 25  # of an episode; a rollout is one of them


def small_updates() -> PpoSettings:
    """Few decisions an update, so that there are many updates, and lessons, within the budget."""
    return PpoSettings(
        num_environments=64,
        rollout_steps=16,
        num_minibatches=2,
        num_epochs=2,
        learning_rate=1e-3,
        max_learning_rate=2e-3,
    )


@dataclass(frozen=True, slots=True)
class KnowsrSettings:
    """Worlds, budget and lessons; KnowSR's (arXiv 2105.11611) numbers were not to be read, so all of these are ours."""

    env: tuple[str, ...] = ("bottleneck", "ledger")
    """Of mpe_spread and mpe_tag (extra `worlds`), bottleneck, and ledger: the simulator of teams, where admission
    controllers learn, each on tasks of its own."""
    num_seeds: int = 5
    first_seed: int = 1
    agent_steps: float = 5e5  # of training where agents act step by step, of all agents together
    iterations: int = 200  # of training in ledger
    num_learners: int = 4  # K in ledger; elsewhere every agent is a learner
    sharing: SharingSettings = field(default_factory=lambda: SharingSettings(num_decay_updates=200))
    """Lessons; who teaches is compared, so `sharing.teachers` is not looked at. In ledger contexts are groups."""
    width: int = 16  # of the network, which has no memory
    ppo: PpoSettings = field(default_factory=small_updates)
    evaluate_every: int = 10  # iterations of ledger
    num_evaluation_tasks: int = 64  # of ledger, the same at each evaluation of a seed
    num_at_once: int = 2  # trainings side by side, each on a processor core

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        if not self.env or not set(self.env) <= set(WORLDS) or len(set(self.env)) < len(self.env):
            raise UserError(f"knowsr.env: expected some of {', '.join(WORLDS)}, got {show(self.env)}")
        for name in ("num_seeds", "iterations", "evaluate_every", "num_evaluation_tasks", "width", "num_at_once"):
            if getattr(self, name) < 1:
                raise UserError(f"knowsr.{name}: expected at least 1, got {getattr(self, name)}")
        if self.num_learners < 2:
            raise UserError(f"knowsr.num_learners: expected at least 2, got {self.num_learners}")
        if self.iterations % self.evaluate_every:
            raise UserError(f"knowsr.evaluate_every: expected a divisor of {self.iterations} iterations")
        for env in set(self.env) - {"ledger"}:
            each = self.steps_per_update(env)
            if self.agent_steps < each:
                raise UserError(
                    f"knowsr.agent_steps: expected at least one update of {env}, {each}, got {self.agent_steps:g}"
                )
            met = NUM_AGENTS[env] * self.ppo.num_environments
            if self.sharing.num_contexts < met:
                raise UserError(f"knowsr.sharing.num_contexts: expected at least {met}, which {env} adds at once")

    def ppo_of(self, env: str) -> PpoSettings:
        """Of one world: where all episodes are as long, a rollout is one of them."""
        return replace(self.ppo, rollout_steps=MPE_STEPS) if env.startswith("mpe") else self.ppo

    def steps_per_update(self, env: str) -> int:
        """Agent steps."""
        ppo = self.ppo_of(env)
        return NUM_AGENTS[env] * ppo.num_environments * ppo.rollout_steps

    def num_updates(self, env: str) -> int:
        """Rollouts of a training, each with its epochs and minibatches."""
        return max(1, round(self.agent_steps / self.steps_per_update(env)))

    def sharing_of(self, arm: str) -> tuple[SharingSettings, float]:
        """(the lessons of an arm with weight 1, their weight), so that arms with equal teachers share a program."""
        teachers: Teachers = "best" if arm.endswith("best") else "all"
        return replace(self.sharing, teachers=teachers, weight=1.0), 0.0 if arm == ARMS[0] else self.sharing.weight
