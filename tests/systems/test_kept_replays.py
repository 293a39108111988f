"""`lts credit` by schemes that replay: the same credit as training pays, Shapley values, and replays that are kept."""

import asyncio
from dataclasses import dataclass, replace

import numpy as np
import pytest

import lts_jax as lts
from lts_jax.admission.policy import Admission
from lts_jax.admission.rules import make_rule
from lts_jax.bridge import stored_replays
from lts_jax.bridge.flips import ReplayChoice, flip_decisions
from lts_jax.bridge.stored_replays import NUM_BLOCKS, NUM_PERMUTATIONS, blocks
from lts_jax.cli import main
from lts_jax.errors import UserError
from lts_jax.llm.budget import Budget, BudgetSettings
from lts_jax.memory.encoders import HashingEncoder
from lts_jax.rollouts.collect import CollectSettings, Iteration, collect_groups
from lts_jax.rollouts.rollout import run_rollout
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.storage import read_parquet
from lts_jax.systems import kept_replays
from lts_jax.systems.kept_replays import make_replayer, refuse_live
from lts_jax.systems.run_folder import RunFolder, open_run
from lts_jax.systems.run_parts import make_parts
from lts_jax.systems.step_credit import stored_groups
from lts_jax.teams.settings import TeamSettings

pytestmark = pytest.mark.slow
SMALL = lts.TrainSettings(
    num_tasks=2,
    num_epochs=1,
    tasks_per_update=2,
    credit="difference_rewards",
    rollout=RolloutSettings(num_teams=2, team=TeamSettings(max_rounds=9)),
    collect=CollectSettings(num_rollouts=2),
    controller="set_transformer(width=8, num_layers=1, num_heads=1)",
)
PLACE = ("iteration", "task", "rollout", "team", "step")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return lts.train(tmp_path_factory.mktemp("runs") / "one", settings=SMALL, progress=False)


def credit_of(run, out, *arguments):
    main(["credit", str(run.path), "--out", str(out), *arguments])
    rows = read_parquet(out).to_pylist()
    return {tuple(row[name] for name in PLACE): row["credit"] for row in rows if row["decided"]}


def test_difference_rewards_are_those_that_training_paid(run, tmp_path):
    paid = {tuple(row[name] for name in PLACE): row["credit"] for _, row in run.tables()["decisions"].iterrows()}
    found = credit_of(run, tmp_path / "a.parquet")
    assert found.keys() == paid.keys()
    assert sum(credit != 0.0 for credit in paid.values()) > 0
    # Here turning one decision made the policy decide nothing else otherwise; else the two would differ there.
    np.testing.assert_allclose([found[place] for place in paid], list(paid.values()), atol=1e-6)


def test_under_a_rule_that_looks_at_coordinates_alone_every_flip_is_that_of_training(tmp_path):
    settings = replace(SMALL, num_tasks=2)
    made = make_parts(settings)
    rule = make_rule("random(rate=0.5)", HashingEncoder())
    parts = made.rollout_parts(rule, Budget())
    [group, _] = collect_groups(made.tasks("train", 2), parts, settings.rollout, CollectSettings(2), Iteration(0, 0))
    replayer = make_replayer(open_run(tmp_path / "run", settings), made, "random(rate=0.5)", group)
    mine = replayer.replayed(group, "flipped", lambda rollout: None)
    trained = flip_decisions(group, parts, settings.rollout, settings.padding, ReplayChoice("all"))
    decided = sum(len(rollout.decisions) for rollout in group.rollouts)
    assert np.isfinite(mine.runtime_gkt).sum() == decided > 20
    for name in ("reward_agg_gkt", "reward_first_gkt", "runtime_gkt"):
        np.testing.assert_array_equal(getattr(mine, name), getattr(trained, name), name)
    assert len(np.unique(mine.runtime_gkt[np.isfinite(mine.runtime_gkt)])) > 5  # turning a decision does something


@dataclass
class ByHand:
    """Decides by a table, and asks another policy where it holds nothing."""

    table: dict
    otherwise: object
    name: str = "by hand"
    listing_window: int | None = None

    async def decide(self, request, ask):
        action = self.table.get((request.step.team, request.step.step))
        return await self.otherwise.decide(request, ask) if action is None else Admission(action, 0.0, 0.5)


def test_shapley_values_are_those_of_a_twin_that_replays_every_part_of_every_order(run, tmp_path):
    found = credit_of(run, tmp_path / "s.parquet", "--scheme", "shapley")
    group = stored_groups(RunFolder(run.path), "training")[-1]
    replayer = make_replayer(RunFolder(run.path), made := make_parts(SMALL), "training", group)

    def value(rollout, kept):
        table = {(one.team, one.step): int((one.team, one.step) in kept) for one in rollout.decisions}
        parts = replace(replayer.parts, policy=ByHand(table, replayer.otherwise))
        replayer.otherwise.decider.rollout_started()
        again = asyncio.run(run_rollout(rollout.task, rollout.coordinates, parts, made.settings.rollout))
        replayer.otherwise.decider.rollout_ended()
        return again.reward_agg + again.reward_first

    some = False
    for rollout in group.rollouts:
        credit = dict.fromkeys(((one.team, one.step) for one in rollout.decisions), 0.0)
        for permutation in range(NUM_PERMUTATIONS):
            block = blocks(rollout, permutation)
            for number in range(NUM_BLOCKS):
                members = [turn for turn, other in block.items() if other == number]
                before = {turn for turn, other in block.items() if other < number}
                gain = value(rollout, before | set(members)) - value(rollout, before) if members else 0.0
                for turn in members:
                    credit[turn] += gain / len(members) / NUM_PERMUTATIONS
        place = rollout.coordinates
        for (team, step), expected in credit.items():
            got = found[place.iteration, rollout.task.task_id, place.rollout, team, step]
            assert got == pytest.approx(expected, abs=1e-5)
        some |= any(credit.values())
    assert some


def test_re_rollouts_share_what_came_before_and_are_drawn_anew(run):
    group = stored_groups(RunFolder(run.path), "training")[0]
    one = replace(group, rollouts=group.rollouts[:1])
    replayer = make_replayer(RunFolder(run.path), make_parts(SMALL), "training", one)
    found = replayer.replayed(one, "regrouped", lambda rollout: None)
    [rollout] = one.rollouts
    last = max(rollout.decisions, key=lambda taken: taken.sequence)
    seconds_gmkt = np.asarray(found.runtime_gmkt)
    assert np.isfinite(seconds_gmkt).sum() == 3 * len(rollout.decisions)
    # Three futures of the first decision part at once; each takes its own time, and none that of the rollout.
    first = min(rollout.decisions, key=lambda taken: taken.sequence)
    assert len({*seconds_gmkt[0, :, first.team, first.step].tolist(), rollout.seconds}) == 4
    assert (seconds_gmkt[0, :, last.team, last.step] > last.seconds).all()


def test_orders_are_cut_into_blocks_of_about_one_size(run):
    [rollout, *_] = stored_groups(RunFolder(run.path), "training")[0].rollouts
    taken = [replace(rollout.decisions[0], team=0, step=step, action=1, target=-1) for step in range(20)]
    many = replace(rollout, decisions=tuple(taken))
    sizes = np.bincount(list(blocks(many, 0).values()), minlength=NUM_BLOCKS)
    assert sizes.sum() == 20 and sizes.min() == 2 and sizes.max() == 3
    assert blocks(many, 0) != blocks(many, 1)
    assert sorted(blocks(replace(rollout, decisions=tuple(taken[:3])), 0).values()) == [0, 2, 5]


def test_what_was_replayed_before_a_kill_is_not_replayed_again(run, tmp_path, monkeypatch):
    whole = credit_of(run, tmp_path / "whole.parquet", "--scheme", "shapley")
    for path in (run.path / "replays" / "training" / "coalitions").iterdir():
        path.unlink()
    asked = []

    def dies_at(number):
        def replay(rollout, *rest, **more):
            asked.append((rollout.task.task_id, rollout.coordinates.rollout))
            if len(asked) == number:
                raise KeyboardInterrupt
            return stored_replays.replay(rollout, *rest, **more)

        return replay

    monkeypatch.setattr(kept_replays, "replay", dies_at(3))
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        credit_of(run, tmp_path / "half.parquet", "--scheme", "shapley")
    assert len(asked) == 3 and not (tmp_path / "half.parquet").exists()
    monkeypatch.setattr(kept_replays, "replay", dies_at(0))
    assert credit_of(run, tmp_path / "rest.parquet", "--scheme", "shapley") == whole
    assert asked[3:] == [asked[2], *asked[4:]] and len(asked) == 5  # the third again, and the fourth


def test_what_is_kept_of_another_rollout_does_not_count(run):
    group = stored_groups(RunFolder(run.path), "training")[0]
    replayer = make_replayer(RunFolder(run.path), make_parts(SMALL), "training", group)
    replayer.replayed(group, "flipped", lambda rollout: None)
    assert replayer.missing([group], frozenset({"flipped"})) == 0
    other = replace(group, rollouts=(replace(group.rollouts[0], seconds=1.0), *group.rollouts[1:]))
    assert replayer.missing([other], frozenset({"flipped"})) == len(group.rollouts[0].decisions) > 0


def test_what_cannot_be_replayed_is_one_line(run, tmp_path, capsys):
    group = stored_groups(RunFolder(run.path), "training")[0]
    decided = sum(len(rollout.decisions) for rollout in group.rollouts)
    live = replace(group, rollouts=tuple(replace(rollout, clock="real") for rollout in group.rollouts))
    with pytest.raises(UserError, match=f"these would be {decided} rollouts for 2 that are stored"):
        refuse_live(make_parts(SMALL), "counterfactual", [live], frozenset({"flipped"}))
    poor = replace(SMALL, model=replace(SMALL.model, budget=BudgetSettings(max_tokens=1)))
    replayer = make_replayer(open_run(tmp_path / "poor", poor), make_parts(poor), "all", _as_all(group))
    with pytest.raises(UserError, match="does not replay to itself"):
        replayer.replayed(_as_all(group), "flipped", lambda rollout: None)
    with pytest.raises(UserError, match="lts@two: its controller is of another run"):
        make_replayer(RunFolder(run.path), make_parts(SMALL), "lts@two", group)
    (tmp_path / "run").symlink_to(run.path)
    for path in (run.path / "replays").rglob("*.parquet"):
        path.unlink()
    with pytest.raises(SystemExit):
        main(["credit", str(run.path), "--out", str(tmp_path / "x.parquet"), "--max-replays", "3"])
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "difference_rewards: needs " in error and "--max-replays allows 3" in error


def _as_all(group):
    """The same rollouts, said to take longer than they did."""
    return replace(group, rollouts=tuple(replace(one, policy="all", seconds=1.0) for one in group.rollouts))


def test_replays_spend_as_much_as_the_run_might(run, tmp_path):
    group = stored_groups(RunFolder(run.path), "training")[0]
    poor = replace(SMALL, model=replace(SMALL.model, budget=BudgetSettings(max_tokens=1)))
    replayer = replace(
        make_replayer(RunFolder(run.path), make_parts(SMALL), "training", group),
        budget=Budget(poor.model.budget),
        folder=tmp_path / "kept",
    )
    with pytest.raises(UserError, match=r"budget: .* are used by replays; those before are kept"):
        replayer.replayed(group, "flipped", lambda rollout: None)
    assert len(list((tmp_path / "kept" / "flipped").iterdir())) == 1  # the first rollout's, which overshot
