"""Other futures of a decision: the past is the same, the rest is drawn anew, and pairs share their luck."""

import numpy as np
import pytest

from lts_jax.admission.rules import RULES
from lts_jax.bridge.collate import CollateSettings
from lts_jax.bridge.flips import ReplayChoice
from lts_jax.bridge.futures import Future, regroup_decisions, replay_future
from lts_jax.errors import UserError
from lts_jax.rollouts.collect import CollectSettings, Iteration, collect_groups
from lts_jax.rollouts.rollout import RolloutParts
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.systems.world import ModelSettings, almanac_tasks, almanac_tools, make_model
from lts_jax.teams.settings import TeamSettings


@pytest.fixture(scope="module")
def simulated():
    parts = RolloutParts(make_model(ModelSettings()), almanac_tools(0), RULES["random"](rate=0.5))
    settings = RolloutSettings(team=TeamSettings(max_rounds=6))
    tasks = almanac_tasks(0, "train", 1)
    [group] = collect_groups(tasks, parts, settings, CollectSettings(1), Iteration(4, 0))
    return group, parts, settings


def history(rollout, seconds):
    """What was said, done and decided up to a moment."""
    return (
        [call for call in rollout.calls if call.started_seconds + call.seconds <= seconds],
        [step for step in rollout.steps if step.finished_seconds <= seconds],
        [(taken.team, taken.step, taken.action) for taken in rollout.decisions if taken.seconds < seconds],
    )


def test_the_past_is_the_same_and_the_future_is_not(simulated):
    group, parts, settings = simulated
    [rollout] = group.rollouts
    taken = {(0, decision.team, decision.step): decision for decision in rollout.decisions}
    futures = [replay_future(group, parts, settings, Future(number)) for number in (0, 1)]
    admitted = {place for place, decision in taken.items() if decision.action}
    assert set(futures[0]) == set(futures[1]) == admitted
    for replays in futures:
        for place, replay in replays.items():
            moment = taken[place].seconds
            assert history(replay, moment) == history(rollout, moment)
            # The decision itself is taken as it was, by the same coin.
            here = next(one for one in replay.decisions if (one.team, one.step) == place[1:])
            assert (here.action, here.sequence) == (taken[place].action, taken[place].sequence)
    first = min(admitted, key=lambda place: taken[place].seconds)
    ends = {tuple(call.reply for call in one[first].calls) for one in futures} | {
        tuple(call.reply for call in rollout.calls)
    }
    assert len(ends) == 3


def test_a_pair_turns_one_decision_alone_and_shares_its_luck(simulated):
    group, parts, settings = simulated
    kept, turned = (replay_future(group, parts, settings, Future(0, flip)) for flip in (False, True))
    same = 0
    for place, replay in turned.items():
        actions = {(one.team, one.step): one.action for one in replay.decisions}
        assert actions[place[1:]] == 0
        for one in kept[place].decisions:
            here = (one.team, one.step)
            assert here == place[1:] or actions.get(here, one.action) == one.action
        same += kept[place].seconds == replay.seconds
    assert same > 0  # an entry that nobody was shown any more: only shared luck can give equal seconds


def test_rewards_of_futures_as_arrays(simulated):
    group, parts, settings = simulated
    padding = CollateSettings()
    crowd, alone = (
        regroup_decisions(group, parts, settings, padding, ReplayChoice("all", number), num_futures=2)
        for number in (64, 1)
    )
    np.testing.assert_array_equal(crowd.reward_agg_gmkt, alone.reward_agg_gmkt)
    [rollout] = group.rollouts
    first, second = (
        replay_future(group, parts, settings, Future(number, redraws=True), ReplayChoice("all")) for number in (0, 1)
    )
    assert crowd.reward_agg_gmkt.shape == (1, 2, 3, 32)
    assert np.isfinite(crowd.reward_first_gmkt).sum() == 2 * len(rollout.decisions)
    for (index, team, step), replay in second.items():
        assert crowd.reward_agg_gmkt[index, 1, team, step] == np.float32(replay.reward_agg)
    # The decision itself is drawn anew; what came before it is not.
    taken = {(0, one.team, one.step): one for one in rollout.decisions}
    redrawn = []
    for place, replay in first.items():
        again = {(0, one.team, one.step): one for one in replay.decisions}
        redrawn.append(again[place].action != taken[place].action)
        assert all(again[was].action == one.action for was, one in taken.items() if one.seconds < taken[place].seconds)
    assert 0 < sum(redrawn) < len(redrawn)


def test_live_models_have_no_other_future(simulated):
    group, parts, settings = simulated
    live = RolloutParts(parts.model, parts.use_tool, parts.policy, virtual_time=False)
    with pytest.raises(UserError, match="needs simulated teams"):
        regroup_decisions(group, live, settings, CollateSettings(), num_futures=1)
