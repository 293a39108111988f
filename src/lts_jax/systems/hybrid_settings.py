"""How `lts system hybrid` trains its modes, and in which worlds."""

from dataclasses import dataclass, field, replace

from lts_jax.credit.check import needs
from lts_jax.credit.schemes import bind, scheme
from lts_jax.environments.gates import MODES
from lts_jax.environments.teams.settings import SimulatorShape
from lts_jax.errors import UserError, show
from lts_jax.learning.ppo import PpoSettings
from lts_jax.models.gated_memory import entry_width
from lts_jax.models.shared_memory import CoreSettings

TASKS: tuple[str, ...] = ("corridors", "joined", "consensus", "simulator")
RETURN = "return"
DEAR = "dear switch"  # the switch at a price at which nothing is worth what it costs
SYMBOLS = "symbols"  # agents say one of 8 symbols, or nothing, in place of memories and entries
ROWS: tuple[str, ...] = (*MODES, DEAR, SYMBOLS)
CHANNELS: tuple[str, ...] = ("latent", "symbols", "neither")
"""What agents know of each other in consensus."""
RULES = {"coin": 0.5, "admit all": 1.0, "admit none": 0.0}
"""Rules that stand beside the modes on the simulator: the probability that a step is admitted."""
NUM_AGENTS = {"corridors": 2, "joined": 2, "consensus": 3}


def many_updates() -> PpoSettings:
    """As for other studies on two processor cores; a discount at which the block's next episodes still count."""
    return PpoSettings(
        num_environments=64,
        rollout_steps=32,
        num_minibatches=4,
        num_epochs=2,
        learning_rate=1e-3,
        max_learning_rate=4e-3,
        kl_target=0.02,
        entropy_weight=0.01,
        discount=0.985,
    )


@dataclass(frozen=True, slots=True)
class HybridSettings:
    """Worlds, modes, budget. A survey names the hybrid and gives no numbers to build it by, so all are ours."""

    task: tuple[str, ...] = TASKS
    """Of corridors (the bottleneck, paths seen), joined (paths hidden; which rooms hold the goals is drawn once for a
    block of episodes), consensus (agents agree on the majority of their bits) and simulator (each of three teams of the
    simulator has an agent that admits its steps)."""
    mode: tuple[str, ...] = ROWS
    """Of none, latent, pool, both, switch, dear switch, symbols; not for consensus; the last two in corridors alone."""
    num_seeds: int = 5
    first_seed: int = 1
    agent_steps: float = 5e5  # of training, of each seed
    consensus_steps: float = 1e5  # agent steps of consensus
    simulator_steps: float = 1.5e5  # agent steps on the simulator, one decision in three of them
    lengths: tuple[int, ...] = (2,)  # of the corridors
    block_episodes: int = 4
    limit: int = 24  # steps of an episode
    own_fraction: float = 0.5  # of joined's blocks whose goals are in the agents' own rooms
    price: float = 2e-5  # of a number sent, in units of the goal's reward
    dear_price: float = 1e-2  # of the dear switch
    num_entries: int = 8  # of the pool
    num_test_blocks: int = 100  # of every seed, and games of consensus; on the simulator ten times as many rollouts
    write_credit: str = RETURN
    """What pays for writing to the pool in corridors: return, as PPO pays all else, or a scheme of `credit`, by which
    each write is an admission in a block, and `write_rollouts` blocks that share a reset are a group."""
    write_rollouts: int = 8
    write_blocks: int = 24  # side by side, whole ones each update
    width: int = 16
    history: int = 4
    teams: SimulatorShape = field(default_factory=SimulatorShape)  # sizes of the simulator
    ppo: PpoSettings = field(default_factory=many_updates)
    num_parts: int = 5  # a training is stored so many times
    num_at_once: int = 2  # trainings side by side, each on a processor core

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        for name, known in (("task", TASKS), ("mode", ROWS)):
            given = getattr(self, name)
            if not given or not set(given) <= set(known) or len(set(given)) < len(given):
                raise UserError(f"hybrid.{name}: expected some of {', '.join(known)}, got {show(given)}")
        for name in (
            "num_seeds", "block_episodes", "limit", "num_test_blocks", "num_parts", "num_at_once"
        ):  # fmt: skip
            if getattr(self, name) < 1:
                raise UserError(f"hybrid.{name}: expected at least 1, got {getattr(self, name)}")
        for name in ("price", "dear_price"):
            if not getattr(self, name) >= 0:
                raise UserError(f"hybrid.{name}: expected at least 0, got {getattr(self, name):g}")
        if not 0.0 <= self.own_fraction <= 1.0:
            raise UserError(f"hybrid.own_fraction: expected from 0 to 1, got {self.own_fraction:g}")
        if not self.lengths or min(self.lengths) < 1:
            raise UserError(f"hybrid.lengths: expected some of at least 1, got {show(self.lengths)}")
        if self.num_entries < 2:
            raise UserError(f"hybrid.num_entries: expected at least 2, which are read at once, got {self.num_entries}")
        for task in self.task:
            name, each = _steps_of(task), self.steps_per_update(task)
            if getattr(self, name) < each:
                raise UserError(f"hybrid.{name}: expected at least one update, {each}, got {getattr(self, name):g}")
        self.network("srmt")
        self._check_write_credit()

    def rows(self, task: str) -> tuple[str, ...]:
        """Rows of a task's table."""
        if task == "simulator":
            return (*(mode for mode in self.mode if mode in MODES), *RULES)
        return CHANNELS if task == "consensus" else self.mode

    def ppo_of(self, task: str) -> PpoSettings:
        """Of one task: games of consensus are short, and so are its rollouts; a rollout of teams is paid at its end."""
        if task == "simulator":
            return replace(self.ppo, discount=1.0)
        if self.credits_writes(task):
            longest = self.block_episodes * self.limit
            return replace(self.ppo, num_environments=self.write_blocks, rollout_steps=longest)
        return replace(self.ppo, rollout_steps=min(self.ppo.rollout_steps, 8)) if task == "consensus" else self.ppo

    def credits_writes(self, task: str) -> bool:
        """Whether a scheme pays for writing in this task."""
        return self.write_credit != RETURN and task in ("corridors", "joined")

    def steps_per_update(self, task: str) -> int:
        """Agent steps."""
        ppo = self.ppo_of(task)
        return (
            (self.teams.num_teams if task == "simulator" else NUM_AGENTS[task])
            * ppo.num_environments
            * ppo.rollout_steps
        )

    def num_updates(self, task: str) -> int:
        """Rollouts of a training, each with its epochs and minibatches."""
        return max(1, round(getattr(self, _steps_of(task)) / self.steps_per_update(task)))

    def network(self, core: str) -> CoreSettings:
        """The network's core."""
        return CoreSettings(core=core, width=self.width, history=self.history)  # type: ignore[arg-type]

    def _check_write_credit(self) -> None:
        if self.write_credit == RETURN:
            return
        lacking = needs(bind(scheme(self.write_credit, where="hybrid.write_credit"), first_weight=0.0))
        if lacking:
            told = f"expected a scheme that needs rollouts alone, got one that needs {', '.join(sorted(lacking))}"
            raise UserError(f"hybrid.write_credit: {told}")
        if self.write_rollouts < 1 or self.write_blocks % self.write_rollouts:
            told = f"expected a divisor of {self.write_blocks} blocks, got {self.write_rollouts}"
            raise UserError(f"hybrid.write_rollouts: {told}")

    @property
    def entry_numbers(self) -> int:
        """Numbers of an entry."""
        return entry_width(self.network("srmt"))


def _steps_of(task: str) -> str:
    return {"consensus": "consensus_steps", "simulator": "simulator_steps"}.get(task, "agent_steps")
