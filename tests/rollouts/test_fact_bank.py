"""A bank of facts in a rollout: joined entries, their lineage, and credit that reaches every writer."""

import asyncio
import json
from dataclasses import replace

import numpy as np
import pytest

import lts_jax as lts
from lts_jax.admission.rules import admit_all
from lts_jax.bridge.collate import CollateSettings, collate
from lts_jax.credit.usage import usage_bonus
from lts_jax.errors import UserError
from lts_jax.memory.bank import EditRefused, KeyRefused, MemoryBank
from lts_jax.memory.consolidate import MergeSettings
from lts_jax.memory.encoder_parts import make_encoder
from lts_jax.memory.encoders import HashingEncoder
from lts_jax.memory.fact_bank import FactKeeper
from lts_jax.memory.fact_memory import FactSettings
from lts_jax.memory.gate import GateSettings
from lts_jax.memory.guards import GuardSettings
from lts_jax.memory.lives import check_lives, owed_pulls
from lts_jax.memory.trust import Provenance
from lts_jax.records import ModelCall, Origin, RolloutGroup, Step
from lts_jax.rollouts.collect import CollectSettings, Iteration, collect_groups
from lts_jax.rollouts.rollout import RolloutParts
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.rollouts.store import read_group
from lts_jax.systems.run_parts import make_parts
from lts_jax.systems.train_settings import TrainSettings
from lts_jax.systems.world import ModelSettings, almanac_tasks, almanac_tools, make_model

OPEN = FactSettings(gate=GateSettings(threshold=0.0))


def step(team, number, output="Mill Pond is 3 m deep.", summary="Found the depth of Mill Pond."):
    return Step(team, number, "WebSurfer", "find it", "visit", output, summary)


def web(url):
    return Provenance(Origin.WEB, url, (f"web:{url}",))


def test_a_step_in_place_of_several_entries():
    bank = MemoryBank()
    for team in (0, 1, 2):
        bank.add(step(team, team), 10.0 * team, web(f"https://{team}.example/a"))
    made = bank.join([0, 2], step(1, 5), 40.0, sequence=7)
    assert (made.entry, made.parents, made.team) == (3, (0, 2), 1)
    assert [(edit.entry, edit.successor, edit.sequence) for edit in bank.edits] == [(0, 3, 7), (2, 3, 7)]
    check_lives(bank.entries, bank.edits)
    assert [[entry.entry for entry in bank.list_entries(team)] for team in (0, 1, 2)] == [[1, 3], [3], [1, 3]]
    bank.pull(1, 3, 6, 50.0)  # the last writer of a joined entry may read what others put into it
    owed = owed_pulls(bank.pulls, bank.entries, bank.edits)
    assert [(pull.entry, pull.reader, pull.writer) for pull in owed] == [(3, 1, 1), (0, 1, 0), (2, 1, 2)]
    assert bank.revoke("https://2.example/a") == {2, 3}


def test_joining_with_what_has_ended_ends_nothing():
    bank = MemoryBank()
    for team in (0, 1):
        bank.add(step(team, 0), 0.0)
    bank.delete(1, 1, 1, 1.0)
    with pytest.raises(EditRefused, match="1 has ended"):
        bank.join([0, 1], step(2, 0), 2.0)
    assert bank.ended == {1} and len(bank) == 2


async def scripted(purpose, messages):
    """The first line that speaks of a pond, as the one fact."""
    lines = messages[-1].content.partition("\nLines:\n")[2].split("\n")
    facts = [{"text": line, "entities": ["Mill Pond"], "topic": "depth"} for line in lines if "Pond" in line][:1]
    return ModelCall(purpose, json.dumps({"facts": facts}), 1, 1)


def keep(keeper, *steps):
    made = []
    for number, each in enumerate(steps):
        short = asyncio.run(keeper.compressed(each, "How deep?", 10.0 * number, scripted))
        made.append(keeper.store(short, 10.0 * number, Provenance(), number))
    return made


def test_facts_of_one_matter_become_one_entry_with_all_lines():
    bank = MemoryBank()
    keeper = FactKeeper(bank, HashingEncoder(), OPEN, GuardSettings())
    outputs = ["Mill Pond is 3 m deep.", "Mill Pond is 3 m deep.", "Mill Pond is 4 m deep."]
    made = keep(keeper, *(step(team, 0, f"{text}\n\n{'page ' * 300}") for team, text in enumerate(outputs)))
    assert [entry.parents for entry in made] == [(), (0,), (1,)]
    assert made[-1].value == "Mill Pond is 3 m deep.\nMill Pond is 4 m deep."
    assert bank.ended == {0, 1}


def test_without_merging_entries_stay_apart_and_a_control_keeps_the_output():
    unmerged = replace(OPEN, merge=MergeSettings(threshold=2.0))
    for settings, value in ((unmerged, "Mill Pond is 3 m deep."), (replace(unmerged, keeps_output=True), None)):
        bank = MemoryBank()
        keeper = FactKeeper(bank, HashingEncoder(), settings, GuardSettings())
        output = "Mill Pond is 3 m deep.\n\na long page"
        made = keep(keeper, step(0, 0, output), step(1, 0, output))
        assert [entry.value for entry in made] == [value or output] * 2 and not bank.ended


def test_what_states_no_fact_is_refused_or_stored_as_it_is():
    for keeps, stored in ((False, 0), (True, 1)):
        bank = MemoryBank()
        keeper = FactKeeper(bank, HashingEncoder(), replace(OPEN, keeps_rest=keeps), GuardSettings())
        try:
            (made,) = keep(keeper, step(0, 0, "nothing to see"))
        except KeyRefused:
            assert not keeps
        else:
            assert keeps and made.value == "nothing to see"
        assert len(bank) == stored


def rollouts(facts, num_tasks=8, values="raw"):
    parts = RolloutParts(
        make_model(ModelSettings()), almanac_tools(0), admit_all(), encoder=make_encoder("hashing"), is_offline=True,
        facts=facts,
    )  # fmt: skip
    tasks = almanac_tasks(0, "train", num_tasks)
    return collect_groups(
        tasks, parts, RolloutSettings(values=values), CollectSettings(num_rollouts=1), Iteration(3, 0)
    )


@pytest.fixture(scope="module")
def with_facts():
    return rollouts(OPEN)


def test_a_rollout_with_facts_is_reproducible_and_stores_fewer_tokens(with_facts):
    assert rollouts(OPEN)[0] == with_facts[0]
    raw = rollouts(None)
    assert not any(call.purpose == "extract" for group in raw for one in group.rollouts for call in one.calls)

    def tokens(groups):
        values = [len(entry.value) for group in groups for one in group.rollouts for entry in one.entries]
        return sum(values) / len(values)

    assert tokens(with_facts) * 2 < tokens(raw)


def test_the_setting_does_what_the_part_does_and_raw_is_the_default():
    assert RolloutSettings().values == "raw"
    assert rollouts(None, 2, "merged") == rollouts(FactSettings(), 2)
    assert not any(one.edits for group in rollouts(None, 2, "facts") for one in group.rollouts)
    with pytest.raises(UserError, match="values: expected raw, facts or merged, got 'some'"):
        RolloutSettings(values="some")
    merged = RolloutSettings(values="merged")
    with pytest.raises(UserError, match=r"linear_.*: expected a network that knows ended entries, as set_transformer"):
        make_parts(TrainSettings(rollout=merged, controller="linear")).check()
    assert TrainSettings(rollout=merged).padding.lives and not TrainSettings().padding.lives
    with pytest.raises(UserError, match="merged_credit: expected equal or full, got 'half'"):
        TrainSettings(merged_credit="half")


def test_the_use_of_a_joined_entry_is_credited_to_every_other_writer_in_equal_shares(with_facts):
    sizes = CollateSettings(max_steps=40, max_entries=96)
    seen = 0
    for group in with_facts:
        (rollout,) = group.rollouts
        check_lives(rollout.entries, rollout.edits)
        alone = RolloutGroup(group.task, 0, (rollout,))
        bonus = {
            how: paid(collate(alone, make_encoder("hashing"), replace(sizes, merged_credit=how))[0])
            for how in ("equal", "full")
        }
        owed: dict[int, float] = {}
        for pull in rollout.pulls:
            parts = [pull.entry]  # every entry that it was made of, near or far
            for entry in parts:
                parts += [edit.entry for edit in rollout.edits if edit.successor == entry]
            seen += len(parts) > 1
            for entry in parts:
                if rollout.entries[entry].team != pull.reader:  # nobody is paid for reading what is its own
                    owed[entry] = max(owed.get(entry, 0.0), 1 / len(parts))
        for entry in rollout.entries:
            place = (0, entry.team, entry.step)
            assert bonus["full"][place] == (0.5 if entry.entry in owed else 0.0)
            assert bonus["equal"][place] == pytest.approx(0.5 * owed.get(entry.entry, 0.0))
    assert seen > 2


def paid(trajectory):
    """The bonus of a usage-aware scheme, had the rollout earned 1."""
    rewarded = replace(trajectory, reward_agg_g=np.ones(1, np.float32), rollout_mask_g=np.ones(1, bool))
    return np.asarray(usage_bonus(rewarded, usage_weight=0.5))


@pytest.mark.slow
def test_a_controller_is_trained_on_values_that_are_merged(tmp_path):
    settings = TrainSettings(
        num_tasks=2, num_epochs=2, tasks_per_update=2, rollout=RolloutSettings(values="merged"),
        collect=CollectSettings(num_rollouts=2),
    )  # fmt: skip
    run = lts.train(tmp_path / "run", settings=settings)
    stored = [read_group(path) for path in sorted((run.path / "rollouts").glob("**/0001-*.parquet"))]
    assert any(one.edits for group in stored for one in group.rollouts)  # the second update sees ended entries
    assert [each["learning/num_updates"] for each in run.metrics] == [1.0, 2.0]
    # What the loss computes of a decision is what was computed when it was taken, with entries that had ended left out.
    assert run.metrics[1]["learning/behavior_gap"] < 1e-5 and run.metrics[1]["learning/entropy"] < 0.69314
