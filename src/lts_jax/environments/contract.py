"""What a world in arrays is: a record of pure functions, so that one world can stand in for another.

A world has rollouts of teams, or single steps of agents that act at once, or both.

Of one rollout: `begin` gives what stays the same and the first state, `step` finishes one step of one team and decides
on it, `is_running` says whether there is another, `gather` makes the arrays that credit and controller read, with the
latent truth beside them. `environments.rollout` does the rest: the loop, groups, batches; `environments.replays` plays
rollouts again. Sizes are static, numbers are traced.

Of single steps: `reset` gives a state, `act` takes everybody's action, `look` says what each agent sees of a state;
`environments.stepping` begins an episode anew where one is over.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import jax
from jax import Array

from lts_jax.environments.measures import measures
from lts_jax.errors import UserError
from lts_jax.trajectory import DecisionContext, Trajectory

ASK = -1  # a forced action that leaves the decision to the policy
WITHHELD = -2  # where there are more than two actions: an addition that takes its turn and adds nothing

Rollouts = tuple[Trajectory, DecisionContext, Any]
"""Arrays of one rollout, without G; of a group [G, ...], the context's query without G; of B groups [B, G, ...]. The
third is the environment's own record of the truth, which no controller and no credit scheme sees."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Observation:
    """What a policy may look at."""

    query_d: Array  # f32[D]
    key_nd: Array  # f32[N, D], rows from `num_keys` on are padding
    num_keys: Array  # i32[] committed by the time of the decision
    step_3d: Array  # f32[3, D] instruction, summary, output; S of them in a world with `shape.num_step_tokens`
    latent: Any = None  # the environment's own; for oracles alone
    alive_n: Array | None = None  # bool[N] entries that have not ended, where entries end
    legal_a: Array | None = None  # bool[A] what can be done, where not everything can
    team: Array | None = None  # i32[] who decides, where teams have policies of their own


Policy = Callable[[Any, Observation], Any]
"""(params, observation) -> logits f32[2] of reject and admit; in a world whose actions point at something, logits
f32[A] and pointers f32[J]."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Acting:
    """How logits become actions: a, sampled from softmax(logits / temperature), or the larger one.

    While sampling, no action is rarer than `min_probability`.
    """

    temperature: float | Array = 1.2
    is_greedy: bool | Array = False
    min_probability: float | Array = 0.0


@partial(jax.tree_util.register_dataclass, data_fields=("params", "acting"), meta_fields=("policy",))
@dataclass(frozen=True)
class Controller:
    """Who decides: a policy with its parameters, and how it acts."""

    policy: Policy
    params: Any
    acting: Acting


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Fork:
    """From which decision on a rollout draws other numbers: the decision at event `event` is the first fresh draw."""

    event: Array  # i32[] number of the event in the original rollout
    seed_w: Array  # u32[2] seed words from there on


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Script:
    """What a replay prescribes."""

    forced_kt: Array | None = None  # i32[K, T] actions that are not the policy's, ASK elsewhere
    fork: Fork | None = None
    target_kt: Array | None = None  # i32[K, T] what forced actions point at, where it is still there


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Seen:
    """What agents see of a state, in a world of single steps."""

    observation_io: Array  # f32[I, O], `shape.observation` flattened
    legal_ia: Array  # bool[I, A] what each can do
    active_i: Array  # bool[I] who still decides; what the others do is not looked at
    place_if: Array | None = None  # f32[I, F] what an agent knows of its place, where it knows more than it sees
    central_f: Array | None = None  # f32[F] the whole state, for a critic that may know it


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Outcome:
    """What a step of all agents came to."""

    reward_i: Array  # f32[I]
    done_i: Array  # bool[I] whose part of the episode is over
    is_over: Array  # bool[] the episode is
    is_truncated: Array  # bool[] it is over because time was up, so what would have followed counts
    measures: dict[str, Array]  # f32[] each, of the episode so far; those of an episode where it is over


class Shape(Protocol):
    """Sizes that every environment has. A frozen dataclass with defaults, and whatever else shapes its arrays."""

    @property
    def num_teams(self) -> int:
        """K."""

    @property
    def max_steps(self) -> int:
        """T, steps of a team."""

    @property
    def num_entries(self) -> int:
        """N, keys that one rollout can hold."""

    @property
    def embedding_width(self) -> int:
        """D."""


def _has_no_rollouts(*_: Any) -> Any:
    raise UserError("environment: it has single steps of agents and no rollouts of teams; expected teams, desk, ...")


def _has_no_steps(*_: Any) -> Any:
    raise UserError("environment: it has rollouts of teams and no single steps of agents; expected bottleneck, ...")


@partial(
    jax.tree_util.register_dataclass,
    data_fields=("params",),
    meta_fields=(
        "name", "shape", "check", "draw_task", "begin", "is_running", "step", "gather", "measures", "follows_scripts",
        "oracle", "is_right", "reset", "act", "look",
    ),
)  # fmt: skip
@dataclass(frozen=True)
class Environment:
    """A world of given sizes and numbers. `dataclasses.replace` gives one of other sizes, numbers or functions.

    Attributes:
        name: as it stands in messages.
        shape: sizes; see `Shape`.
        params: a frozen dataclass of numbers, registered as a pytree, each traced. One of them is `has_memory`: 0 means
            no bank and no decisions.
        check: (params, shape) -> nothing, or a `UserError` of one line. Of plain numbers, before anything is traced.
        draw_task: (shape, params, prng_key) -> task, which all rollouts of a group share.
        begin: (shape, params, task, prng_key, script or None) -> (scene, state): what stays the same during a rollout,
            and what changes. All draws come from the key.
        is_running: (scene, state) -> bool[].
        step: (scene, state, controller, event i32[]) -> (state, event record). Finishes one step of one team. The
            record has `place` i32[] = team * T + step of that team. Once nothing is running the state stays as it is
            and `place` is K * T.
        gather: (scene, state, event records along E = K * T) -> the rollout's `Rollouts`. Of records whose `place` is
            K * T everything else is padding.
        measures: (rollouts [..., G]) -> named numbers f32[]: at least those of `environments.measures`.
        follows_scripts: whether `begin` and `step` do what a script says, and the truth has `event_kt` i32[K, T], the
            number of each step's event. Without, credit schemes that need replays are refused.
        oracle: a policy that looks at what is latent; None where nobody can know better.
        is_right: (truth) -> bool[..., K, T], whether a step's output is right; None where there is no such thing.
        reset: (shape, params, seed words u32[2]) -> state of an episode's start. A world of single steps has this and
            the next two, its shape `num_agents`, `num_actions` and `observation`; all above but `check` are then for
            worlds with rollouts alone.
        act: (shape, params, state, action i32[I], seed words u32[2]) -> (state, `Outcome`).
        look: (shape, params, state) -> `Seen`. Apart from `act`, so that an episode that begins anew is looked at once.
    """

    name: str
    shape: Any
    params: Any
    check: Callable[[Any, Any], None]
    draw_task: Callable[[Any, Any, Array], Any] = _has_no_rollouts
    begin: Callable[[Any, Any, Any, Array, Script | None], tuple[Any, Any]] = _has_no_rollouts
    is_running: Callable[[Any, Any], Array] = _has_no_rollouts
    step: Callable[[Any, Any, Controller, Array], tuple[Any, Any]] = _has_no_rollouts
    gather: Callable[[Any, Any, Any], Rollouts] = _has_no_rollouts
    measures: Callable[[Rollouts], dict[str, Array]] = measures
    follows_scripts: bool = False
    oracle: Policy | None = None
    is_right: Callable[[Any], Array] | None = None
    reset: Callable[[Any, Any, Array], Any] = _has_no_steps
    act: Callable[[Any, Any, Any, Array, Array], tuple[Any, Outcome]] = _has_no_steps
    look: Callable[[Any, Any, Any], Seen] = _has_no_steps

    @property
    def has_single_steps(self) -> bool:
        """Whether agents act step by step (`reset`, `act`, `look`)."""
        return self.reset is not _has_no_steps
