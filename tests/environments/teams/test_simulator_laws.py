"""What must hold of simulated teams whatever the numbers: one small shape, compiled once, many settings."""

from dataclasses import replace
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lts_jax.environments.contract import Acting, Controller
from lts_jax.environments.policies import constant, constant_logit
from lts_jax.environments.rollout import groups
from lts_jax.environments.teams.environment import TEAMS, begin
from lts_jax.environments.teams.gathering import Truth
from lts_jax.environments.teams.settings import SimulatorParams, SimulatorShape
from lts_jax.environments.teams.sharing import Entry, Looker, admit, read
from lts_jax.environments.teams.task import draw_task
from lts_jax.environments.teams.working import Outcome
from lts_jax.errors import UserError
from lts_jax.trajectory import DecisionContext, Trajectory

SHAPE = SimulatorShape(num_teams=3, max_steps=10, num_nodes=6, num_entries=30, embedding_width=8)
BASE = SimulatorParams(num_dead_ends=1.0, step_limit=10.0)
INF = np.inf


@cache
def compiled():
    """The same 300 tasks, twice each, for any parameters and admission probability."""
    return jax.jit(
        lambda params, logit: groups(
            replace(TEAMS, shape=SHAPE, params=params),
            jax.random.key(3),
            Controller(constant, logit, Acting(1.0)),
            num_tasks=300,
            num_rollouts=2,
        )
    )


def run(admit_probability: float = 1.0, **changes: float) -> tuple[Trajectory, Truth]:
    """Trajectories [300, 2, ...] with the defaults changed."""
    trajectory, _, truth = compiled()(replace(BASE, **changes), constant_logit(admit_probability))
    return jax.tree.map(np.asarray, (trajectory, truth))


def run_with_context(admit_probability: float, **changes: float) -> tuple[Trajectory, DecisionContext]:
    """As `run`, with what the controller saw in place of the truth."""
    return jax.tree.map(np.asarray, compiled()(replace(BASE, **changes), constant_logit(admit_probability))[:2])


def steps_per_team(trajectory: Trajectory) -> float:
    return float(trajectory.step_mask_gkt.sum(-1).mean())


def test_without_memory_the_policy_is_never_asked_and_changes_nothing():
    admitting, _ = run(1.0, has_memory=0.0)
    rejecting, _ = run(0.0, has_memory=0.0)
    jax.tree.map(np.testing.assert_array_equal, admitting, rejecting)
    assert not admitting.decision_mask_gkt.any() and not admitting.used_gkt.any()


def test_an_empty_memory_costs_its_summaries_and_nothing_else():
    apart, _ = run(has_memory=0.0)
    empty, _ = run(0.0, summary_seconds=0.0, decision_seconds=0.0)
    for name in ("finish_seconds_gk", "runtime_g", "reward_agg_g", "reward_first_g", "step_mask_gkt"):
        np.testing.assert_array_equal(getattr(apart, name), getattr(empty, name))
    assert (empty.decision_mask_gkt == empty.step_mask_gkt).all()
    costly, _ = run(0.0)  # the defaults take 1.35 seconds a step
    num_steps = apart.step_mask_gkt.sum(-1)
    np.testing.assert_allclose(costly.finish_seconds_gk, apart.finish_seconds_gk + 1.35 * num_steps, rtol=1e-4)


def test_keys_that_nobody_wants_change_no_answer_and_no_step():
    apart, _ = run(has_memory=0.0)
    unread, _ = run(1.0, pull_probability=0.0, idle_pull_probability=0.0)
    np.testing.assert_array_equal(apart.step_mask_gkt, unread.step_mask_gkt)
    np.testing.assert_array_equal(apart.reward_agg_g, unread.reward_agg_g)
    assert (unread.runtime_g > apart.runtime_g).all()  # listing them takes time
    assert not unread.used_gkt.any()


def test_a_look_that_takes_no_time_is_paid_once_for_each_new_key():
    # One entry can be looked at by two teams; looking again at an old listing is free, so the seconds are bounded.
    free, _ = run(1.0, pull_probability=0.0, idle_pull_probability=0.0, selection_seconds=0.0, key_seconds=0.0)
    paid, _ = run(1.0, pull_probability=0.0, idle_pull_probability=0.0, selection_seconds=1.0, key_seconds=0.0)
    waited_gk = np.where(np.isfinite(paid.finish_seconds_gk), paid.finish_seconds_gk - free.finish_seconds_gk, 0.0)
    num_entries_of_others = paid.action_gkt.sum((-1, -2))[..., None] - paid.action_gkt.sum(-1)
    looks = np.minimum(num_entries_of_others, paid.step_mask_gkt.sum(-1))
    assert (waited_gk <= looks + 1e-3).all() and waited_gk.max() > 1.0


def test_right_values_alone_save_work_and_do_no_harm():
    kind = {"wrong_probability": 0.0, "stale_probability": 0.0, "discourage_probability": 0.0}
    apart, _ = run(has_memory=0.0, **kind)
    shared, _ = run(1.0, **kind)
    assert steps_per_team(shared) < steps_per_team(apart) - 0.5
    assert shared.reward_agg_g.mean() > apart.reward_agg_g.mean()


def test_teams_in_one_order_work_on_the_same_thing_at_the_same_time_and_save_less():
    saved = [steps_per_team(run(0.0, overlap=o)[0]) - steps_per_team(run(1.0, overlap=o)[0]) for o in (0.0, 1.0)]
    assert saved[0] > saved[1] + 0.2 > 0.2


def test_planted_and_stale_values_lower_the_reward_of_readers_alone():
    plain, _ = run(1.0)
    for harm in ("poison_probability", "stale_probability"):
        harmed, _ = run(1.0, **{harm: 0.6})
        assert harmed.reward_agg_g.mean() < plain.reward_agg_g.mean() - 0.05
        np.testing.assert_array_equal(
            run(has_memory=0.0, **{harm: 0.6})[0].reward_agg_g, run(has_memory=0.0)[0].reward_agg_g
        )
    seen_through, _ = run(1.0, poison_probability=0.6, detect_probability=1.0)
    poisoned, _ = run(1.0, poison_probability=0.6, detect_probability=0.0)
    assert seen_through.reward_agg_g.mean() > poisoned.reward_agg_g.mean() + 0.05


def test_who_gives_up_everything_at_once_needs_no_more_steps_than_nodes_and_is_never_right():
    given_up, truth = run(1.0, find_probability=0.0, difficulty_spread=0.0, task_spread=0.0, drop_probability=1.0)
    assert given_up.step_mask_gkt.sum(-1).max() <= SHAPE.num_nodes
    assert given_up.reward_agg_g.max() == 0.0 and not truth.is_right_k.any()
    assert np.isfinite(given_up.finish_seconds_gk).all()


def test_the_deadline_is_kept():
    late, truth = run(1.0, deadline_seconds=120.0)
    free, _ = run(1.0)
    assert free.runtime_g.max() > 250.0
    assert late.finish_seconds_gk[np.isfinite(late.finish_seconds_gk)].max() <= 120.0
    assert late.runtime_g.max() <= 120.0 + BASE.aggregate_seconds + 1e-3
    is_stopped = ~np.isfinite(late.finish_seconds_gk)
    assert is_stopped.any() and truth.has_answer_k[is_stopped].all()  # they answer with what they have


def test_the_first_answer_ends_a_rollout_that_is_to_end_with_it():
    early, truth = run(1.0, first_answer_ends=1.0)
    waited, _ = run(1.0)
    np.testing.assert_array_equal(early.runtime_g, early.finish_seconds_gk.min(-1))
    np.testing.assert_array_equal(early.reward_agg_g, early.reward_first_g)
    np.testing.assert_array_equal(early.reward_first_g, waited.reward_first_g)
    assert (early.runtime_g < waited.runtime_g).all()
    assert (truth.has_answer_k.sum(-1) >= 1).all() and truth.has_answer_k.mean() < 0.7


@pytest.mark.parametrize("seconds", [0.0, 0.05, 30.0])
def test_the_controller_sees_what_is_committed_and_nothing_else(seconds):
    """An entry can be read `decision_seconds` after its decision; text teams count their bank at the decision."""
    rollouts, context = run_with_context(0.5, decision_seconds=seconds)
    decided_xe = np.where(rollouts.decision_mask_gkt, rollouts.decision_seconds_gkt, INF).reshape(600, -1)
    committed_xe = np.where(rollouts.action_gkt.reshape(600, -1) == 1, decided_xe + np.float32(seconds), INF)
    # Of two within a thousandth of a second the order is a matter of rounding.
    least_xe, most_xe = ((committed_xe[:, None] <= decided_xe[..., None] + edge).sum(-1) for edge in (-1e-3, 1e-3))
    found_xe, is_decided_xe = context.num_keys_gkt.reshape(600, -1), np.isfinite(decided_xe)
    is_right_xe = (least_xe <= found_xe) & (found_xe <= most_xe)
    assert is_right_xe[is_decided_xe].all() and found_xe.max() > 5
    before_xe = (decided_xe[:, None] < decided_xe[..., None] - 1e-3) & np.isfinite(committed_xe)[:, None]
    share = np.mean((before_xe.sum(-1) > found_xe)[is_decided_xe])  # decided before, and not to be seen yet
    assert (share > 0.3) if seconds == 30.0 else (share < 0.01)


def test_nothing_is_decided_or_pulled_after_the_end():
    for changes in ({}, {"summary_seconds": 60.0}, {"summary_seconds": 20.0, "decision_seconds": 20.0}):
        early, _ = run(1.0, first_answer_ends=1.0, **changes)
        pulled = early.first_pull_seconds_gkt[early.used_gkt]
        ends = np.broadcast_to(early.runtime_g[..., None, None], early.used_gkt.shape)
        assert (early.decision_seconds_gkt < ends)[early.decision_mask_gkt].all()
        assert (pulled < ends[early.used_gkt]).all() and len(pulled)
        assert early.decision_mask_gkt.sum() < early.step_mask_gkt.sum()  # steps were done that nobody decided on
    late, _ = run(1.0, summary_seconds=60.0, deadline_seconds=150.0)
    assert late.decision_seconds_gkt[late.decision_mask_gkt].max() <= 150.0
    assert late.first_pull_seconds_gkt[late.used_gkt].max() <= 150.0
    nobody, _ = run(1.0, summary_seconds=1e6)
    assert nobody.step_mask_gkt.any() and not nobody.decision_mask_gkt.any() and not nobody.used_gkt.any()


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"num_nodes": 31}, "shape.num_nodes: expected from 2 to 30, got 31"),
        ({"max_steps": 16385}, "shape.max_steps: expected at most 16384, got 16385"),
    ],
)
def test_sizes_under_which_one_draw_would_serve_twice_are_refused(sizes, message):
    with pytest.raises(UserError, match=f"^{message}$"):
        SimulatorShape(**sizes)


def test_a_fork_draws_anew_what_a_reader_makes_of_an_old_entry():
    """One wrong value in the bank, one reader, 400 futures: half of them see that it is wrong."""
    world = replace(BASE, detect_probability=0.5, pull_probability=1.0, attention_keys=1e9)
    task = draw_task(SHAPE, world, jax.random.key(0))
    scene, state = begin(SHAPE, world, task, jax.random.key(1))
    outcome = Outcome(*(jnp.asarray(value) for value in (True, 7, 0, 7, 0.0, False, False, False)))
    believed = []
    for word in (5, 6, 7, 8):
        entry = Entry(outcome, jnp.asarray(0), jnp.uint32(word), jnp.float32(1.0), jnp.float32(0.0), jnp.zeros(8))
        full = admit(state, entry, jnp.asarray(True))

        def learns(salt, full=full):
            looker = Looker(jnp.asarray(1), jnp.asarray(2), jnp.asarray(0), jnp.asarray(0), state.variant_km[1], salt)
            return read(scene, full, looker, jnp.float32(9.0), jnp.asarray(True)).known_bits > 0

        believed.append(float(jax.vmap(learns)(jax.random.bits(jax.random.key(word), (400,), jnp.uint32)).mean()))
    assert all(0.4 < share < 0.6 for share in believed), believed


def test_a_rollout_in_which_every_team_crashes_does_not_count():
    crashed, truth = run(1.0, crash_probability=1.0)
    assert not crashed.rollout_mask_g.any() and not truth.has_answer_k.any()
    assert (crashed.step_mask_gkt.sum(-1) == 1).all() and np.isinf(crashed.finish_seconds_gk).all()
    assert run(1.0)[0].rollout_mask_g.all()


def test_stalls_take_their_time_and_yield_nothing():
    stalled, truth = run(1.0, stall_probability=1.0, stall_seconds=50.0, deadline_seconds=1e6)
    assert stalled.reward_agg_g.max() == 0.0
    assert (truth.variant_kt[stalled.step_mask_gkt] == -1).all()
    np.testing.assert_allclose(stalled.step_seconds_gkt[stalled.step_mask_gkt], 50.0, atol=0.01)


@pytest.mark.parametrize("rule", [0.0, 1.0, 2.0])
def test_a_bank_holds_no_more_than_its_capacity(rule):
    alive_e, num_entries = bank_of(rule)
    assert alive_e.max() == 3 and num_entries > 6


@cache
def bounded():
    """One rollout in a bounded bank, step by step: living entries after every event, and entries admitted."""
    shape = replace(SHAPE, bounded_bank=True)

    def one(params: SimulatorParams, prng_key: jax.Array) -> tuple[jax.Array, jax.Array]:
        scene, start = begin(shape, params, draw_task(shape, params, prng_key), prng_key)
        controller = Controller(constant, constant_logit(1.0), Acting(1.0))

        def body(state, _):
            state, _ = TEAMS.step(scene, state, controller, 0)
            return state, jnp.sum(state.is_alive_n)

        state, alive_e = jax.lax.scan(body, start, length=shape.num_events)
        return alive_e, state.num_entries

    return jax.jit(one)


def bank_of(rule: float) -> tuple[np.ndarray, int]:
    params = replace(BASE, capacity=3.0, evict_rule=rule, find_probability=0.1)
    alive_e, num_entries = bounded()(params, jax.random.key(1))
    return np.asarray(alive_e), int(num_entries)
