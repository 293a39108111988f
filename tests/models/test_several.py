"""Several policies in one rollout: each on its own team's decisions, and the loss the sum of theirs."""

from dataclasses import replace
from functools import partial

import jax
import numpy as np
import pytest

from lts_jax.errors import UserError
from lts_jax.learning.objective import Batch, Totals, admission_loss
from lts_jax.learning.settings import LearningSettings
from lts_jax.learning.state import init_state
from lts_jax.learning.update import make_update
from lts_jax.models.matching import MatchingSettings, matching
from lts_jax.models.pooled import PooledSettings, pooled
from lts_jax.models.several import Member, several
from lts_jax.trajectory import ALIVE, DecisionContext, Trajectory

B, G, K, T, N, S, D, A = 2, 3, 3, 4, 5, 3, 6, 3
SMALL = MatchingSettings(embedding_width=D, hidden_width=4, num_actions=A, num_step_tokens=S)
LARGE = replace(SMALL, hidden_width=7)
STEPS = (4, 3, 2)  # of each team
MEMBERS = [Member("in", matching(SMALL), 4), Member("out", matching(LARGE), 3), Member("in", matching(SMALL), 2)]
SETTINGS = LearningSettings(entropy_weight=0.1)


@pytest.fixture(scope="module")
def params():
    draw = np.random.default_rng(0)
    shapes = jax.eval_shape(several(MEMBERS).init, jax.random.key(0))
    return jax.tree.map(lambda leaf: draw.normal(size=leaf.shape).astype(np.float32), shapes)


@pytest.fixture(scope="module")
def batch() -> Batch:
    """B groups; a team decides in its first steps alone, and one decision of four is another's to take."""
    draw = np.random.default_rng(1)
    size = B, G, K, T
    num_keys = draw.integers(0, N + 1, size).astype(np.int32)
    died = np.where(draw.random((B, G, N)) < 0.4, draw.integers(1, K * T, (B, G, N)), ALIVE).astype(np.int32)
    order = np.broadcast_to(np.arange(K * T, dtype=np.int32).reshape(K, T), size)

    def normal(*shape: int) -> np.ndarray:
        return draw.normal(size=shape).astype(np.float32)

    context = DecisionContext(normal(B, D), normal(B, G, N, D), num_keys, normal(*size, S, D), died, order)
    acted = np.broadcast_to(np.arange(T) < np.array(STEPS)[:, None], size)
    legal = draw.random((*size, A)) < 0.7
    legal[..., 0] = True
    action = np.argmax(legal * draw.random((*size, A)), axis=-1).astype(np.int32)
    target_mask = draw.random((*size, N + S)) < 0.5
    target_mask[..., 0] = True
    points = action > 0
    target = np.argmax(target_mask * draw.random(target_mask.shape), axis=-1)
    trajectory = Trajectory(
        reward_agg_g=normal(B, G),
        reward_first_g=normal(B, G),
        runtime_g=np.ones((B, G), np.float32),
        finish_seconds_gk=np.ones((B, G, K), np.float32),
        action_gkt=action,
        behavior_log_prob_gkt=normal(*size),
        decision_seconds_gkt=np.ones(size, np.float32),
        used_gkt=np.zeros(size, bool),
        num_other_readers_gkt=np.zeros(size, np.int32),
        first_pull_seconds_gkt=np.ones(size, np.float32),
        step_seconds_gkt=np.ones(size, np.float32),
        step_mask_gkt=acted,
        decision_mask_gkt=acted & (draw.random(size) < 0.75),
        rollout_mask_g=np.array([[True, True, False], [True, True, True]]),
        action_mask_gkta=legal,
        target_gkt=np.where(points, target, -1).astype(np.int32),
        target_mask_gktj=target_mask & points[..., None],
    )
    return Batch(trajectory, context, normal(*size))


def own_context(context: DecisionContext, team: int) -> DecisionContext:
    """What one team saw at its steps; K is one."""
    at = (slice(None), slice(None), slice(team, team + 1), slice(0, STEPS[team]))
    return replace(
        context,
        num_keys_gkt=context.num_keys_gkt[at],
        step_gktsd=context.step_gktsd[at],
        sequence_gkt=context.sequence_gkt[at],
    )


def own_batch(batch: Batch, team: int) -> Batch:
    """The batch as if nobody else had decided."""
    at = (slice(None), slice(None), slice(team, team + 1), slice(0, STEPS[team]))
    trajectory = batch.trajectory
    names = [name for name in trajectory.__dataclass_fields__ if "_gkt" in name]
    cut = {name: getattr(trajectory, name)[at] for name in names if getattr(trajectory, name) is not None}
    cut["finish_seconds_gk"] = trajectory.finish_seconds_gk[..., team : team + 1]
    return Batch(replace(trajectory, **cut), own_context(batch.context, team), batch.credit_bgkt[at])


def test_packed_is_each_member_on_its_own_team(params, batch) -> None:
    network = several(MEMBERS)

    @jax.jit
    def both(params):
        whole = network.packed_logits(params, batch.context), network.packed_targets(params, batch.context)
        own = [
            (
                member.network.packed_logits(params[member.name], own_context(batch.context, team)),
                member.network.packed_targets(params[member.name], own_context(batch.context, team)),
            )
            for team, member in enumerate(MEMBERS)
        ]
        return whole, own

    whole, own = both(params)
    assert whole[0].shape == (B, G, K, T, A) and whole[1].shape == (B, G, K, T, N + S)
    for team, found in enumerate(own):
        for packed, expected in zip(whole, found, strict=True):
            np.testing.assert_allclose(packed[:, :, [team], : STEPS[team]], expected, rtol=1e-5, atol=1e-5)
            assert not packed[:, :, team, STEPS[team] :].any()  # nobody decides there
            assert expected.any()


def test_one_name_for_all_teams_is_that_network(params, batch) -> None:
    network = several([Member("in", matching(SMALL))] * K)
    alone, own = matching(SMALL), {"in": params["in"]}
    assert list(network.init(jax.random.key(0))) == ["in"]
    for of_all, of_one in (
        (network.packed_logits, alone.packed_logits),
        (network.packed_targets, alone.packed_targets),
    ):
        found, expected = jax.jit(of_all)(own, batch.context), jax.jit(of_one)(own["in"], batch.context)
        np.testing.assert_array_equal(found, expected)


def loss_and_slope(network, params, batch: Batch, totals: Totals | None = None):
    def loss(params):
        return admission_loss(network, SETTINGS, params, batch, totals=totals)[0]

    return jax.value_and_grad(loss)(params)


def test_the_loss_is_the_sum_of_the_members_on_their_own_decisions(params, batch) -> None:
    network = several(MEMBERS)

    @jax.jit
    def all_ways(params):
        whole = loss_and_slope(network, params, batch)
        parts, alone = [], []
        for team, member in enumerate(MEMBERS):
            mask = batch.trajectory.decision_mask_gkt & (np.arange(K) == team)[:, None]
            masked = batch._replace(trajectory=replace(batch.trajectory, decision_mask_gkt=mask))
            parts.append(loss_and_slope(network, params, masked))
            alone.append(loss_and_slope(member.network, params[member.name], own_batch(batch, team)))
        return whole, parts, alone

    (loss, slope), parts, alone = jax.device_get(all_ways(params))
    close = partial(np.testing.assert_allclose, rtol=2e-4, atol=1e-5)
    close(sum(part for part, _ in parts), loss)
    jax.tree.map(close, jax.tree.map(lambda *leaves: sum(leaves), *(part for _, part in parts)), slope)
    for team, member in enumerate(MEMBERS):
        (masked_loss, masked_slope), (own_loss, own_slope) = parts[team], alone[team]
        close(masked_loss, own_loss)
        assert abs(own_loss) > 1e-3
        jax.tree.map(close, masked_slope[member.name], own_slope)
        others = {name: leaf for name, leaf in masked_slope.items() if name != member.name}
        assert others and not any(leaf.any() for leaf in jax.tree.leaves(others))  # nobody learns from another
        assert all(leaf.any() for leaf in jax.tree.leaves(own_slope))


def test_each_name_may_have_a_learning_rate_of_its_own(batch) -> None:
    """The optimiser's change of every parameter of a name, times its scale: a half, and nothing."""
    plain = several(MEMBERS)
    slow = several([replace(one, learning_rate_scale={"in": 0.5, "out": 0.0}[one.name]) for one in MEMBERS])
    assert plain.learning_rate_scales is None and slow.learning_rate_scales == (("in", 0.5), ("out", 0.0))
    start = init_state(plain, SETTINGS, jax.random.key(3))

    def change(network):
        update = make_update(
            network, lambda trajectory: jax.numpy.ones_like(trajectory.behavior_log_prob_gkt), SETTINGS
        )
        after = update(start, batch.trajectory, batch.context)[0].params
        return jax.device_get(jax.tree.map(lambda new, old: new - old, after, start.params))

    whole, half = change(plain), change(slow)
    assert all(any(leaf.any() for leaf in jax.tree.leaves(whole[name])) for name in ("in", "out"))
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-6), half["in"], scaled(whole["in"], 0.5))
    assert not any(leaf.any() for leaf in jax.tree.leaves(half["out"]))


def scaled(tree, by: float):
    return jax.tree.map(lambda leaf: by * leaf, tree)


def test_parameters_stand_by_name(batch) -> None:
    network = several(MEMBERS)
    started = network.init(jax.random.key(3))
    assert set(started) == {"in", "out"}
    assert [name for name, _ in network.of_team] == ["in", "out", "in"]
    assert network.name == "in:matching_4+out:matching_7" and network.num_actions == A
    assert network.knows_lives and network.key_window == SMALL.key_window
    twins = several([Member("a", matching(SMALL)), Member("b", matching(SMALL))]).init(jax.random.key(3))
    assert not np.array_equal(twins["a"]["hidden"], twins["b"]["hidden"])  # drawn apart


TWO_ACTIONS = pooled(PooledSettings(embedding_width=D))


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ([], "expected one for every team, got none"),
        (
            [Member("x", matching(SMALL)), Member("x", matching(LARGE))],
            "expected one network for the name 'x', got two",
        ),
        (
            [Member("x", matching(SMALL)), Member("y", TWO_ACTIONS)],
            "expected all of them with targets or none, got both",
        ),
        (
            [Member("x", matching(SMALL)), Member("y", matching(replace(SMALL, num_actions=4)))],
            "expected all of them with the same number of actions",
        ),
        (
            [Member("x", matching(replace(SMALL, value_head=True)))],
            "expected networks without a frozen base and without a value head",
        ),
        (
            [Member("x", (one := matching(SMALL))), Member("x", one, learning_rate_scale=0.5)],
            "expected one learning_rate_scale for the name 'x', got two",
        ),
        (
            [Member("x", matching(SMALL), learning_rate_scale=-1.0)],
            "learning_rate_scale: expected at least 0, got -1.0",
        ),
    ],
)
def test_who_cannot_act_together_is_refused_in_one_line(members: list[Member], expected: str) -> None:
    with pytest.raises(UserError, match=rf"^policies: {expected}$"):
        several(members)


def test_another_number_of_teams_and_a_lone_decision_are_refused(params, batch) -> None:
    network = several(MEMBERS[:2])
    with pytest.raises(UserError, match=r"^policies: expected one for each of 3 teams, got 2$"):
        network.packed_logits(params, batch.context)
    with pytest.raises(ValueError, match=r"^several policies: a single decision is asked of the member of its team"):
        network.decision_logits(params)
    without = several([Member("x", TWO_ACTIONS), Member("y", TWO_ACTIONS)])
    assert without.packed_targets is None and without.decision_targets is None and not without.may_edit
