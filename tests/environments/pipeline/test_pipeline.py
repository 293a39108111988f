"""The pipeline: against a slow twin in plain Python, its rewards by hand, and what must hold of every rollout."""

import sys
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lts_jax.environments.contract import Acting, Controller
from lts_jax.environments.desk.coding import NOTHING, Items
from lts_jax.environments.desk.settings import CODE_WIDTH, NUM_VALUES
from lts_jax.environments.desk.state import Scene, empty_state
from lts_jax.environments.desk.task import Stream, draw_task
from lts_jax.environments.pipeline import rules
from lts_jax.environments.pipeline.environment import begin, is_running, pipeline, step
from lts_jax.environments.pipeline.gathering import State, gather, local_rewards
from lts_jax.environments.pipeline.settings import AGENTS, PipelineParams, PipelineShape, check_params
from lts_jax.environments.policies import of_network
from lts_jax.environments.rollout import groups, lone_rollouts
from lts_jax.errors import UserError
from lts_jax.learning.losses import action_log_probs, log_prob_of, target_log_prob
from lts_jax.models.matching import MatchingSettings, matching
from lts_jax.models.several import Member, several
from lts_jax.trajectory import ALIVE

sys.path.insert(0, str(Path(__file__).parent))
from plain_pipeline import ADD, DELETE, EXTRACTION, NOOP, PROFILE, RETRIEVAL, RETRIEVE, UPDATE, PlainPipeline, turns

# 13 events, the last of which no upkeep follows; entries run out of numbers before edits do.
SHAPE = PipelineShape(
    num_stored=9, num_distractors=4, upkeep_every=4, upkeep_rounds=3, num_retrieved=3, num_slots=5, num_entries=9
)
PARAMS = PipelineParams(drawer_slots=4.0)
NUM_SCRIPTS, NUM_ACTIONS = 64, len(turns(SHAPE))
NUM_PLACES = SHAPE.num_teams * SHAPE.max_steps


def scripted(params, seen):
    """Actions and targets from a list, by the number of the action; `choose_edit` replaces what is not legal."""
    actions, targets = params
    number = seen.latent[1].desk.num_done
    wanted = jax.nn.one_hot(actions[number], SHAPE.num_actions) * 9.0
    return wanted.at[NOOP].add(1.0), jax.nn.one_hot(targets[number], SHAPE.num_targets)


@pytest.fixture(scope="module")
def played():
    """Every script from begin to end: scripts, streams, last states, events, and what is gathered of them."""
    draw = np.random.default_rng(0)
    size = NUM_SCRIPTS, NUM_ACTIONS
    odds = {EXTRACTION: [2, 7, 1, 1, 1, 0, 0, 1], PROFILE: [2, 1, 4, 3, 1, 1, 1, 1], RETRIEVAL: [1] * 8}
    actions = np.stack([draw.choice(8, NUM_SCRIPTS, p=np.array(odds[a]) / sum(odds[a])) for a in turns(SHAPE)], axis=1)
    targets = draw.integers(0, SHAPE.num_entries, size)
    targets[draw.random(size) < 0.1] = SHAPE.num_targets - 1  # what nobody may point at

    def one(key, actions, targets):
        task = draw_task(SHAPE, PARAMS, key)
        scene, state = begin(SHAPE, PARAMS, task, key)
        controller = Controller(scripted, (actions, targets), Acting(1.0, True))

        def forward(state, event):
            return step(scene, state, controller, event)

        state, events = jax.lax.scan(forward, state, jnp.arange(NUM_PLACES))
        return task, state, events, gather(scene, state, events), is_running(scene, state)

    keys = jax.random.split(jax.random.key(1), NUM_SCRIPTS)
    return actions, targets, jax.device_get(jax.jit(jax.vmap(one))(keys, jnp.asarray(actions), jnp.asarray(targets)))


@pytest.fixture(scope="module")
def plain(played):
    """The twin at the end of every script."""
    actions, targets, (tasks, *_) = played
    twins = []
    for place in range(NUM_SCRIPTS):
        twin = PlainPipeline(SHAPE, PARAMS, row(tasks, place))
        for action, target in zip(actions[place], targets[place], strict=True):
            twin.act(int(action), int(target))
        twins.append(twin)
    return twins


def row(tree, place):
    return jax.tree.map(lambda leaf: leaf[place], tree)


def facts_of(items, count):
    found = zip(items.attribute[:count, 0], items.value[:count, 0], items.time[:count, 0], strict=True)
    assert (items.attribute[:, 1:] == NOTHING).all()  # an event has one fact or none
    return [None if a == NOTHING else (int(a), int(v), int(t)) for a, v, t in found]


def test_every_script_ends_as_in_plain_python(played, plain) -> None:
    _, _, (_, states, _, (_, _, truth), running) = played
    counts = dict.fromkeys(("additions", "refused", "updates", "deletions", "current", "several"), 0)
    assert not running.any()
    for place, twin in enumerate(plain):
        state = row(states, place)
        desk = state.desk
        assert int(desk.num_done) == twin.done == NUM_ACTIONS and bool(desk.has_answered) and bool(desk.is_over)
        for name, count in twin.tally.items():
            assert int(getattr(desk.tally, name)) == count, name
            counts[name] += count
        assert int(desk.num_entries) == len(twin.log)
        assert facts_of(desk.drawer, len(twin.log)) == [fact for _, fact in twin.log]
        died = [None if died == ALIVE else int(died) for died in desk.died_n[: len(twin.log)]]
        assert died == twin.died
        np.testing.assert_allclose(desk.drawer.vector[: len(twin.log)], [vector for vector, _ in twin.log], atol=1e-6)
        assert facts_of(desk.slots, int(desk.num_slots)) == [fact for _, fact in twin.slots]
        assert np.flatnonzero(state.retrieved_n).tolist() == sorted(twin.pointed)
        assert min(abs(float(desk.score) - score) for score in twin.scores()) < 1e-6
        np.testing.assert_allclose(truth.local_k[place], twin.rewards(), atol=1e-6)
        counts["current"] += sum(0 < reward < 1 for reward in twin.rewards())
        counts["several"] += len(twin.scores()) == 1
    assert min(counts.values()) > 10  # the scripts have been everywhere


def test_what_is_gathered_is_what_was_done(played, plain) -> None:
    _, _, (_, _, _, (trajectory, context, _), _) = played
    steps = tuple(turns(SHAPE).count(agent) for agent in range(3))
    assert SHAPE.steps_of_agents == steps and SHAPE.agents == tuple(zip(AGENTS, steps, strict=True))
    assert SHAPE.agent_of_step.tolist() == turns(SHAPE)
    numbers = [turns(SHAPE)[:number].count(agent) for number, agent in enumerate(turns(SHAPE))]
    expected = [agent * SHAPE.max_steps + number for agent, number in zip(turns(SHAPE), numbers, strict=True)]
    assert SHAPE.place_of_step.tolist() == expected
    for place, twin in enumerate(plain):
        for number, (agent, action, target) in enumerate(twin.taken):
            at = place, agent, numbers[number]
            assert (trajectory.action_gkt[at], trajectory.target_gkt[at]) == (action, target)
            assert trajectory.decision_seconds_gkt[at] == number + 1 and context.sequence_gkt[at] == number
        assert trajectory.step_mask_gkt[place].sum(axis=-1).tolist() == list(steps)
    # Legal and pointed at, of every decision; and nothing is legal of anyone but whose turn it is.
    acted = trajectory.step_mask_gkt
    taken = np.take_along_axis(trajectory.action_mask_gkta, trajectory.action_gkt[..., None], axis=-1)[..., 0]
    assert taken.all() and (trajectory.decision_mask_gkt == acted).all()
    points = trajectory.target_gkt >= 0
    allowed = np.take_along_axis(trajectory.target_mask_gktj, np.maximum(trajectory.target_gkt, 0)[..., None], axis=-1)[
        ..., 0
    ]
    assert allowed[points].all() and not trajectory.target_mask_gktj[~points].any()
    own = {EXTRACTION: {NOOP, ADD}, PROFILE: {NOOP, UPDATE, DELETE}, RETRIEVAL: {NOOP, RETRIEVE}}
    for agent, actions in own.items():
        legal = trajectory.action_mask_gkta[:, agent][acted[:, agent]]
        assert set(np.flatnonzero(legal.any(axis=0)).tolist()) == actions
    # Who looks up does so as long as there is something to look up, and an entry once.
    looks = trajectory.action_mask_gkta[:, RETRIEVAL][acted[:, RETRIEVAL]]
    assert (looks.sum(axis=-1) == 1).all()
    # What was used is what was retrieved, and the retriever is paid for what another made.
    for place, twin in enumerate(plain):
        assert int(trajectory.used_gkt[place].sum()) == len(twin.pointed)


def test_what_an_agent_sees(played, plain) -> None:
    """The extraction agent the newest event alone, the profile agent all slots, the third what it looked up."""
    _, _, (_, _, _, (_, context, _), _) = played
    slots = context.step_gktsd[..., :-1, :]
    filled = (slots != 0.0).any(axis=-1).sum(axis=-1)
    steps = SHAPE.steps_of_agents
    assert (filled[:, EXTRACTION, : steps[EXTRACTION]] == 1).all()
    # After 4, 8 and 12 events, three times each; of five slots all are filled from the fifth event on.
    assert (filled[:, PROFILE, : steps[PROFILE]] == [4, 4, 4, 5, 5, 5, 5, 5, 5]).all()
    for place, twin in enumerate(plain):
        found = [min(number, len(twin.pointed)) for number in range(3)]
        assert filled[place, RETRIEVAL, :3].tolist() == found


def test_rewards_of_the_agents_by_hand() -> None:
    """Attribute 5 was 1 and is 3; 7 is 2; 9 is 4; 37 is a stranger's. Asked: 5 and 9."""
    said = [(5, 1), (7, 2), (NOTHING, NOTHING), (5, 3), (9, 4), (37, 6)]
    attribute, value = (jnp.array(part) for part in zip(*said, strict=True))
    stream = Stream(jnp.zeros(6, int), attribute, value, jnp.zeros((6, CODE_WIDTH)), jnp.array([5, 9]), jnp.zeros(2))
    shape = replace(SHAPE, num_stored=4, num_distractors=2)
    # The outdated, the newest, another's, the newest once more, small talk, a stranger's; and 9, which was ended.
    log = [(5, 1, 0), (5, 3, 3), (7, 2, 1), (5, 3, 3), (NOTHING,) * 3, (37, 6, 5), (9, 4, 4)]
    blank = (NOTHING,) * 3
    rows = jnp.array([[one, blank, blank] for one in [*log, blank, blank]])
    items = Items(jnp.zeros((9, CODE_WIDTH)), rows[..., 0], rows[..., 1], rows[..., 2])
    desk = replace(empty_state(shape), drawer=items, num_entries=jnp.array(7), died_n=jnp.full(9, ALIVE).at[6].set(12))

    def found(pointed: list[int], desk=desk, stream=stream):
        scene = Scene(shape, PARAMS, stream, jnp.zeros(2, jnp.uint32))
        return local_rewards(scene, State(desk, jnp.zeros(9, bool).at[jnp.array(pointed, int)].set(True)))

    # Of 5 and 9 the drawer holds 5; of six entries 1 and 2 are sound; of three looked up one says what was asked.
    np.testing.assert_allclose(found([0, 1, 2]), [1 / 2, 2 / 6, 1 / 3], atol=1e-6)
    np.testing.assert_allclose(found([1, 3]), [1 / 2, 2 / 6, 1.0], atol=1e-6)
    alone = replace(stream, asked_2=jnp.array([5, NOTHING]))
    np.testing.assert_allclose(found([4], stream=alone), [1.0, 2 / 6, 0.0], atol=1e-6)
    np.testing.assert_array_equal(found([], desk=replace(desk, num_entries=jnp.array(0))), [0.0, 0.0, 0.0])
    outdated = replace(desk, num_entries=jnp.array(1))
    np.testing.assert_array_equal(found([0], desk=outdated), [0.0, 0.0, 0.0])


RULES = (rules.never_store, rules.add_all, rules.newest_wins, rules.oracle)
NUM_TASKS = 600


def by_number(number, seen):
    """One of the rules, so that one program serves for all."""
    return jax.lax.switch(number, [lambda seen, rule=rule: rule(None, seen) for rule in RULES], seen)


@pytest.fixture(scope="module")
def measured():
    """Scores [tasks] and means of rules on the pipeline of default sizes, on the same tasks."""

    def one(number):
        controller = Controller(by_number, number, Acting(1.0, True))
        rollouts = lone_rollouts(pipeline(), jax.random.key(3), controller, NUM_TASKS)
        return rollouts[2].score[:, 0], pipeline().measures(rollouts)

    compiled = jax.jit(one)
    return jax.device_get({rule.__name__: compiled(jnp.array(number)) for number, rule in enumerate(RULES)})


def test_who_knows_the_end_is_always_right_and_who_stores_nothing_guesses(measured) -> None:
    score, means = measured["oracle"]
    assert (score == 1.0).all()
    assert means["coverage"] == means["soundness"] == 1.0 and means["refused"] == 0.0
    score, means = measured["never_store"]
    chance = 1 / NUM_VALUES
    assert abs(score.mean() - chance) < 4 * (chance * (1 - chance) / NUM_TASKS) ** 0.5
    assert means["entries"] == means["coverage"] == means["soundness"] == means["precision"] == 0.0
    # Paired, on the same tasks.
    difference = measured["newest_wins"][0] - measured["add_all"][0]
    assert difference.mean() > 0.1 and measured["add_all"][0].mean() > 0.3


MATCHING = matching(
    MatchingSettings(hidden_width=4, num_actions=8, num_step_tokens=SHAPE.num_step_tokens, key_window=99)
)
NETWORK = several([Member(name, MATCHING, count) for name, count in SHAPE.agents])


@pytest.fixture(scope="module")
def params():
    """Of three networks, none of them zero."""
    draw = np.random.default_rng(5)
    shapes = jax.eval_shape(NETWORK.init, jax.random.key(5))
    return jax.tree.map(lambda leaf: 0.5 * draw.normal(size=leaf.shape).astype(np.float32), shapes)


@pytest.fixture(scope="module")
def rolled(params):
    """Rollouts [B, G] of the three networks in a world of other numbers; one program for all."""

    def one(world):
        controller = Controller(of_network(NETWORK), params, Acting(1.2, False))
        environment = replace(pipeline(), shape=SHAPE, params=world)
        return groups(environment, jax.random.key(7), controller, num_tasks=8, num_rollouts=4)

    compiled = jax.jit(one)

    def numbers(**changed):
        return jax.device_get(compiled(jax.tree.map(jnp.asarray, replace(PARAMS, **changed))))

    return numbers


def test_what_was_sampled_is_what_the_loss_reads(rolled, params) -> None:
    @jax.jit
    def log_prob(trajectory, context):
        logits, pointers = NETWORK.packed_logits(params, context), NETWORK.packed_targets(params, context)
        log_probs = action_log_probs(logits, temperature=1.2, legal=trajectory.action_mask_gkta)
        pointed = target_log_prob(pointers, trajectory.target_gkt, trajectory.target_mask_gktj, temperature=1.2)
        return log_prob_of(log_probs, trajectory.action_gkt) + pointed

    trajectory, context, _ = rolled()
    found = np.asarray(log_prob(trajectory, context))
    decided = trajectory.decision_mask_gkt
    np.testing.assert_allclose(found[decided], trajectory.behavior_log_prob_gkt[decided], atol=1e-4)
    assert found[decided].std() > 0.3 and (context.died_gn != ALIVE).sum() > 20


def test_who_acts_by_rule_or_stays_as_he_is_decides_nothing(rolled) -> None:
    learns = rolled()
    for agent, name in enumerate(AGENTS):
        for acts in (1.0, 2.0):
            trajectory = rolled(**{f"{name}_acts": acts})[0]
            decides = trajectory.decision_mask_gkt.any(axis=(0, 1, 3))
            assert decides.tolist() == [number != agent for number in range(3)]
            np.testing.assert_array_equal(trajectory.step_mask_gkt, learns[0].step_mask_gkt)
        by_rule = rolled(**{f"{name}_acts": 1.0})[0]
        assert (by_rule.action_gkt != learns[0].action_gkt)[..., agent, :].any() or agent == RETRIEVAL
        assert (by_rule.target_gkt != learns[0].target_gkt)[..., agent, :].any()


def test_frozen_parameters_give_the_same_rollouts_and_other_masks(rolled) -> None:
    learns, frozen = rolled(), rolled(extraction_acts=2.0)
    mask = frozen[0].decision_mask_gkt
    assert not mask[..., EXTRACTION, :].any() and learns[0].decision_mask_gkt[..., EXTRACTION, :].any()
    same = replace(frozen[0], decision_mask_gkt=learns[0].decision_mask_gkt), *frozen[1:]
    jax.tree.map(np.testing.assert_array_equal, same, learns)


def test_without_a_memory_nothing_is_stored(rolled) -> None:
    trajectory, context, truth = rolled(has_memory=0.0)
    assert (trajectory.action_gkt == NOOP).all() and (context.num_keys_gkt == 0).all()
    assert (context.key_gnd == 0.0).all() and (truth.num_alive == 0).all() and (truth.local_k == 0.0).all()
    assert (truth.tally.additions + truth.tally.refused == 0).all() and not trajectory.used_gkt.any()


def test_what_cannot_be_meant_is_refused_in_one_line() -> None:
    for changed, expected in (
        ({"num_stored": 0}, r"^shape.num_stored: expected at least 1, got 0$"),
        ({"upkeep_every": 0}, r"^shape.upkeep_every: expected at least 1, got 0$"),
        ({"num_teams": 2}, r"^shape.num_teams: expected 3, got 2$"),
        ({"embedding_width": 16}, r"^shape.embedding_width: expected 32, got 16$"),
        ({"num_retrieved": 9}, r"^shape.num_retrieved: expected at most num_slots = 8$"),
    ):
        with pytest.raises(UserError, match=expected):
            PipelineShape(**changed)
    for changed, expected in (
        ({"profile_acts": 3.0}, r"^world.profile_acts: expected 0, 1 or 2, got 3$"),
        ({"extraction_acts": 0.5}, r"^world.extraction_acts: expected 0, 1 or 2, got 0.5$"),
        ({"stranger_probability": 1.5}, r"^world.stranger_probability: expected from 0 to 1, got 1.5$"),
        ({"noise": -1.0}, r"^world.noise: expected at least 0, got -1$"),
        ({"statement_probability": 0.9}, r"^world.statement_probability: expected at most 1 with .*, got 1.15$"),
        ({"drawer_slots": 25.0}, r"^world.drawer_slots: expected from 1 to shape.num_entries = 24, got 25$"),
    ):
        with pytest.raises(UserError, match=expected):
            check_params(PipelineParams(**changed), PipelineShape())
    check_params(PipelineParams(), PipelineShape())
