"""The simulator of teams in single steps: its K teams are agents, whose controllers may know something of each other.

A step is one event: a team's step ends, and its agent decides on it, admission and a gate at once. By the gate it reads
at its own next decision nothing of others, what their controllers remember, the entries of the bank that are nearest to
the step's summary, or both. Whose step it is not does nothing. What teams themselves pull from the bank is the
simulator's, whatever controllers read. When the rollout is over each agent is paid its return; a number that is read
has a price, taken from the reward of the one who reads it. Letters as in the simulator.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from lts_jax.actions import ADMIT
from lts_jax.environments.contract import Acting, Controller, Environment, Outcome, Script, Seen
from lts_jax.environments.gates import check_gates, check_price, gates_of, is_gate, open_gates, read_by
from lts_jax.environments.policies import SURE
from lts_jax.environments.teams.answers import answers
from lts_jax.environments.teams.environment import TEAMS, is_running, next_turn
from lts_jax.environments.teams.process import Turn, Work, finish_work
from lts_jax.environments.teams.settings import SimulatorParams, SimulatorShape, check_params
from lts_jax.environments.teams.state import Scene, State, is_before_end
from lts_jax.environments.teams.task import SimulatedTask
from lts_jax.models.gated_controllers import NUM_TOLD, Told
from lts_jax.models.gated_memory import GATES, NUM_READ

_NUM_OWN = 4  # numbers that an agent sees beside query and step


@dataclass(frozen=True, slots=True)
class GatedTeamsShape:
    """Sizes. Another value compiles another program."""

    teams: SimulatorShape = field(default_factory=SimulatorShape)

    @property
    def num_agents(self) -> int:
        """I = K."""
        return self.teams.num_teams

    @property
    def num_actions(self) -> int:
        """A: decision * 4 + gate."""
        return 2 * len(GATES)

    @property
    def num_own(self) -> int:
        """Numbers of an observation that are the agent's own: query, step, and where the rollout stands."""
        return 4 * self.teams.embedding_width + _NUM_OWN

    @property
    def observation(self) -> tuple[int, ...]:
        """One row of numbers: the own ones, the nearest keys, what an agent is told (`models.gated_controllers`)."""
        return (self.num_own + NUM_READ * self.teams.embedding_width + NUM_TOLD,)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class GatedTeamsParams:
    """The simulator's numbers, gates and a price."""

    teams: SimulatorParams
    gate_open_g: Any  # bool[4] gates that may be chosen, of `GATES`
    price: Any = 0.0  # of a number that is read, in units of reward; infinite: what costs is not to be had
    memory_numbers: Any = 16  # of one controller's memory
    first_weight: Any = 1.0  # lambda_first of the return (LTS)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class GatedTeamsState:
    """A rollout, what its agents decided last, and sums over it."""

    task: SimulatedTask
    seed_w: Array
    order_km: Array
    teams: State
    event: Array  # i32[] events so far
    step_k3d: Array  # f32[K, 3, D] each team's last step
    gate_k: Array  # i32[K] what is read at the next decision
    num_sent: Array  # f32[] numbers read
    num_admitted: Array  # f32[]
    decisions_g: Array  # f32[4] by gate


def begin(shape: GatedTeamsShape, params: GatedTeamsParams, seed_w: Array) -> GatedTeamsState:
    """A fresh task at its first event, and the first gate that is open."""
    task_key, rollout_key = jax.random.split(jax.random.wrap_key_data(seed_w, impl="threefry2x32"))
    task = TEAMS.draw_task(shape.teams, params.teams, task_key)
    scene, state = TEAMS.begin(shape.teams, params.teams, task, rollout_key, None)
    num_teams, width, nothing = shape.num_agents, shape.teams.embedding_width, jnp.zeros(())
    return GatedTeamsState(
        task=task,
        seed_w=scene.seed_w,
        order_km=scene.order_km,
        teams=state,
        event=jnp.zeros((), jnp.int32),
        step_k3d=jnp.zeros((num_teams, 3, width)),
        gate_k=jnp.full(num_teams, jnp.argmax(open_gates(params.gate_open_g, params.price)), jnp.int32),
        num_sent=nothing,
        num_admitted=nothing,
        decisions_g=jnp.zeros(len(GATES)),
    )


def act(
    shape: GatedTeamsShape, params: GatedTeamsParams, state: GatedTeamsState, action_i: Array, seed_w: Array
) -> tuple[GatedTeamsState, Outcome]:
    """The event that is due; the action of the agent whose step ends counts. Draws are those of the rollout's begin.

    Measures: `return`, price of the mean agent taken off, `score`, `seconds`; `sent`, numbers an agent; `admitted`,
    share of decisions; and shares of decisions by gate.
    """
    scene, turn, work, asked, num_keys = _due(shape, params, state)
    here_k = turn.here_k & asked
    admits, gate_k = turn.of((action_i // len(GATES) == ADMIT).astype(jnp.int32)), action_i % len(GATES)
    logit = jnp.where(admits == 1, SURE, -SURE)
    sure = Controller(lambda logit, _: jnp.stack([jnp.zeros(()), logit]), logit, Acting(1.0, True))
    teams, _ = TEAMS.step(scene, state.teams, sure, state.event)
    sent_k = jnp.where(here_k, _read(shape, params, state, num_keys), 0.0)
    state = replace(
        state,
        teams=teams,
        event=state.event + 1,
        step_k3d=jnp.where(turn.here_k[:, None, None], work.step_3d, state.step_k3d),
        gate_k=jnp.where(here_k, gate_k, state.gate_k),
        num_sent=state.num_sent + jnp.sum(sent_k),
        num_admitted=state.num_admitted + jnp.where(jnp.any(here_k), admits, 0),
        decisions_g=state.decisions_g + jnp.sum(here_k[:, None] & is_gate(state.gate_k), axis=0),
    )
    is_over = ~is_running(scene, teams) | (state.event >= shape.teams.num_events)
    end = answers(scene, teams)
    paid = end.reward_agg + params.first_weight * end.reward_first
    reward_i = jnp.where(is_over, paid, 0.0) - jnp.where(sent_k > 0, params.price * sent_k, 0.0)
    num_decisions, sent = jnp.maximum(jnp.sum(state.decisions_g), 1.0), state.num_sent / shape.num_agents
    share_g = state.decisions_g / num_decisions
    return state, Outcome(
        reward_i=reward_i.astype(jnp.float32),
        done_i=jnp.broadcast_to(is_over, sent_k.shape),
        is_over=is_over,
        is_truncated=jnp.zeros((), bool),
        measures={
            "return": paid - jnp.where(sent > 0, params.price * sent, 0.0),
            "score": end.reward_agg,
            "seconds": end.runtime,
            "sent": sent,
            "admitted": state.num_admitted / num_decisions,
        }
        | {f"share_{name}": share_g[number] for number, name in enumerate(GATES)},
    )


def look(shape: GatedTeamsShape, params: GatedTeamsParams, state: GatedTeamsState) -> Seen:
    """Everybody's own last step, and of the one who decides the keys nearest to its summary; others can do nothing."""
    _, turn, work, asked, num_keys = _due(shape, params, state)
    number, teams, here_k = shape.num_agents, state.teams, turn.here_k & asked
    step_k3d = jnp.where(turn.here_k[:, None, None], work.step_3d, state.step_k3d)
    own = [
        jnp.broadcast_to(state.task.query_d, (number, shape.teams.embedding_width)),
        step_k3d.reshape(number, -1),
        (teams.num_steps_k / shape.teams.max_steps)[:, None],
        jnp.broadcast_to(jnp.where(turn.is_on, turn.now, 0.0) / params.teams.deadline_seconds, (number, 1)),
        here_k[:, None],
        jnp.isinf(teams.next_seconds_k)[:, None],
    ]
    key_jd, is_there_j = _nearest(teams, work.step_3d[1], num_keys)
    reads_latent_k, reads_pool_k = read_by(state.gate_k)
    told = Told(
        decides=here_k,
        has_memory=teams.num_steps_k > 0,
        reads_latent=here_k & reads_latent_k,
        reads_pool=here_k & reads_pool_k,
        first_is_there=here_k & is_there_j[0],
        second_is_there=here_k & is_there_j[1],
    )
    shown_kx = jnp.where(here_k[:, None], key_jd.reshape(-1), 0.0)
    parts = [*own, shown_kx, jnp.stack(told, axis=1)]
    nothing_a = jnp.arange(shape.num_actions) == 0
    legal_ka = jnp.where(here_k[:, None], jnp.tile(open_gates(params.gate_open_g, params.price), 2), nothing_a)
    return Seen(
        observation_io=jnp.concatenate([jnp.asarray(one, jnp.float32) for one in parts], axis=1),
        legal_ia=legal_ka,
        active_i=jnp.ones(number, bool),
    )


def gated_teams(
    mode: str = "switch",
    *,
    price: float = 0.0,
    memory_numbers: int = 16,
    shape: SimulatorShape | None = None,
    params: SimulatorParams | None = None,
) -> Environment:
    """The simulator's teams in a mode of `environments.gates.MODES`.

    Raises:
        UserError: an unknown mode, a price below 0, or an infinite one where there is nothing that is free.
    """
    sizes = GatedTeamsShape(shape or SimulatorShape())
    numbers = GatedTeamsParams(params or SimulatorParams(), gates_of(mode), check_price(price), memory_numbers)
    _check(numbers, sizes)
    return Environment(name="gated teams", shape=sizes, params=numbers, check=_check, reset=begin, act=act, look=look)


def _check(params: Any, shape: Any) -> None:
    check_params(params.teams, shape.teams)
    check_gates(params.gate_open_g, params.price)


def _due(
    shape: GatedTeamsShape, params: GatedTeamsParams, state: GatedTeamsState
) -> tuple[Scene, Turn, Work, Array, Array]:
    """The event that is due, whether it asks for a decision bool[], and how many keys that decision sees i32[]."""
    teams = state.teams
    scene = Scene(shape.teams, params.teams, state.task, state.seed_w, state.order_km, Script())
    turn = next_turn(scene, teams, state.event)
    seconds = turn.now + params.teams.summary_seconds
    has_room = teams.num_entries < shape.teams.num_entries
    asked = turn.is_on & (params.teams.has_memory > 0.0) & has_room & is_before_end(scene, teams, seconds)
    num_keys = jnp.sum(teams.commit_seconds_n <= seconds, dtype=jnp.int32)
    return scene, turn, finish_work(scene, teams, turn), asked, num_keys


def _nearest(teams: State, summary_d: Array, num_keys: Array) -> tuple[Array, Array]:
    """(f32[J, D], bool[J]): the keys nearest to a summary by cosine, of those committed; all are unit vectors."""
    is_key_n = (jnp.arange(teams.key_nd.shape[0]) < num_keys) & teams.is_alive_n
    cosine_n = jnp.where(is_key_n, jnp.sum(teams.key_nd * summary_d, axis=1), -jnp.inf)
    cosine_j, place_j = jax.lax.top_k(cosine_n, NUM_READ)
    is_there_j = jnp.isfinite(cosine_j)
    return jnp.where(is_there_j[:, None], teams.key_nd[place_j], 0.0), is_there_j


def _read(shape: GatedTeamsShape, params: GatedTeamsParams, state: GatedTeamsState, num_keys: Array) -> Array:
    """f32[K]: numbers that each agent would read now; who has not decided yet has no memory to be read."""
    has_memory_k = (state.teams.num_steps_k > 0).astype(jnp.float32)
    of_memories_k = (jnp.sum(has_memory_k) - has_memory_k) * params.memory_numbers
    of_entries = jnp.minimum(num_keys, NUM_READ) * shape.teams.embedding_width
    reads_latent_k, reads_pool_k = read_by(state.gate_k)
    return reads_latent_k * of_memories_k + reads_pool_k * of_entries
