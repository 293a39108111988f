"""A small rollout written out by hand: to Parquet and back, and across the bridge to arrays."""

import math
from dataclasses import fields, replace

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from lts_jax.bridge.collate import CollateSettings, collate, stack
from lts_jax.credit.usage import cross_team_usage, usage_bonus
from lts_jax.errors import UserError
from lts_jax.memory.bank import MemoryBank
from lts_jax.records import (
    Answer,
    Coordinates,
    Decision,
    Drawer,
    Edit,
    MemoryEntry,
    ModelCall,
    Outcome,
    Pull,
    Rollout,
    RolloutGroup,
    Step,
    StopReason,
    Task,
)
from lts_jax.rollouts.store import read_group, write_group
from lts_jax.storage import write_parquet
from lts_jax.trajectory import ALIVE, DecisionContext, Trajectory

TASK = Task("t-1", "How many?", "3", "train", attachments=("a.csv",))


class LetterEncoder:
    """Width 2: how many letters, and one."""

    dim = 2

    def encode(self, texts):
        return np.array([[len(text), 1.0] for text in texts], np.float32)


def hand_rollout(reward: float = 1.0) -> Rollout:
    """Team 0 takes two decided steps, team 1 one. Entry 0 is pulled by team 1, entry 1 by its own writer."""
    steps = (
        Step(0, 0, "WebSurfer", "find", "web_search()", "page", "s", 0.0, 4.0),
        Step(1, 0, "WebSurfer", "find it", "visit_url()", "text", "ss", 0.0, 5.0, failed=True),
        Step(0, 1, "Coder", "sum", "", "print(3)", "sss", 4.0, 8.0),
    )
    decisions = (
        Decision(0, 0, 1, -0.5, 0.6, 0, 0, 4.5, 0, "rule"),
        Decision(1, 0, 0, -0.7, 0.5, 1, 1, 5.5, -1, "rule"),
        Decision(0, 1, 1, -0.1, 0.9, 1, 2, 8.5, 1, "rule"),
    )
    entries = (MemoryEntry(0, "s", "page", 0, 0, 4.5), MemoryEntry(1, "sss", "print(3)", 0, 1, 8.5))
    pulls = (Pull(0, 1, 0, 1, 6.0), Pull(0, 1, 0, 1, 7.0), Pull(1, 0, 0, 2, 9.0))
    answers = (
        Answer(0, "3", 9.5, StopReason.SATISFIED, 2),
        Answer(1, "4", 12.0, StopReason.ROUND_LIMIT, 1, 1, 2, "late"),
    )
    return Rollout(
        TASK, Coordinates(7, 0, "t-1", 0), 2, steps, decisions, entries, pulls, answers,
        Answer(-1, "3", 13.0, StopReason.SATISFIED), Outcome(reward, True), Outcome(1.0, True), reward, 1.0, 13.0,
        (ModelCall("plan", "do\x00\n\u2028it", 10, 5, error="time-out"),), "virtual", "rule",
    )  # fmt: skip


def test_a_group_comes_back_from_parquet_as_it_was(tmp_path):
    group = RolloutGroup(TASK, 0, (hand_rollout(), replace(hand_rollout(0.0), entries=(), pulls=(), decisions=())))
    path = write_group(tmp_path, group)
    assert path.name == "0000-t-1.parquet"
    assert read_group(path) == group
    assert [item.name for item in tmp_path.iterdir()] == [path.name]


def edited_rollout() -> Rollout:
    """Entry 0 is replaced by entry 1, which is then taken out; team 1 keeps a drawer of its own."""
    whole = hand_rollout()
    first, second, third = whole.decisions
    kept = MemoryEntry(0, "note", "note", 1, 0, 3.0)
    return replace(
        whole,
        decisions=(first, replace(second, action=3, target=1, num_edits=1), replace(third, action=2, target=0)),
        edits=(Edit("update", 0, 1, 0, 1, 8.5, 2), Edit("delete", 1, None, 1, 0, 9.5, 1)),
        drawers=(Drawer(1, (kept,), (Edit("delete", 0, None, 1, 1, 6.0, 0),), (Pull(0, 1, 1, 1, 5.0),)),),
    )


def test_edits_and_drawers_come_back_from_parquet_as_they_were(tmp_path):
    group = RolloutGroup(TASK, 0, (edited_rollout(), hand_rollout()))
    assert read_group(write_group(tmp_path, group)) == group


def test_a_file_of_before_edits_reads_as_one_without_any(tmp_path):
    path = write_group(tmp_path, RolloutGroup(TASK, 0, (hand_rollout(),)))
    table = pyarrow.parquet.read_table(path)
    rows = table.drop_columns(["edits", "drawers"]).to_pylist()
    for row in rows:
        for decision in row["decisions"]:
            del decision["target"], decision["num_edits"]
    metadata = {b"lts_jax_schema": table.schema.metadata[b"lts_jax_schema"]}
    old = pyarrow.Table.from_pylist(rows).replace_schema_metadata(metadata)
    write_parquet(tmp_path / "old.parquet", old)
    assert read_group(tmp_path / "old.parquet").rollouts == (hand_rollout(),)


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (
            lambda: Decision(0, 0, 2, 0.0, 0.0, 1, 0, 1.0),
            "expected the id of an entry, as the action is update, got -1",
        ),
        (
            lambda: Decision(0, 0, 3, 0.0, 0.0, 1, 0, 1.0),
            "expected the id of an entry, as the action is delete, got -1",
        ),
        (lambda: Decision(0, 0, 1, 0.0, 0.0, 1, 0, 1.0, target=0), "expected -1 where the action is no edit, got 0"),
        (lambda: Edit("merge", 0, None, 0, 0, 0.0, 0), "expected update or delete, got 'merge'"),
        (lambda: Edit("delete", 0, 1, 0, 0, 0.0, 0), "expected None for a deletion, got 1"),
        (lambda: Edit("update", 1, None, 0, 0, 0.0, 0), "expected an id after 1 for an update, got None"),
        (lambda: Edit("update", 1, 1, 0, 0, 0.0, 0), "expected an id after 1 for an update, got 1"),
        (lambda: Edit("delete", -1, None, 0, 0, 0.0, 0), "expected from 0, got -1 and 0"),
    ],
)
def test_records_of_edits_refuse_what_cannot_be(made, told):
    with pytest.raises(ValueError, match=told):
        made()


def test_an_impossible_edit_in_a_file_is_one_line(tmp_path):
    path = write_group(tmp_path, RolloutGroup(TASK, 0, (edited_rollout(),)))
    table = pyarrow.parquet.read_table(path)
    rows = table.to_pylist()
    rows[0]["edits"][0]["successor"] = 0
    metadata = {b"lts_jax_schema": table.schema.metadata[b"lts_jax_schema"]}
    write_parquet(path, pyarrow.Table.from_pylist(rows, schema=table.schema).replace_schema_metadata(metadata))
    with pytest.raises(UserError, match=r"edits: Edit.successor: expected an id after 0 for an update, got 0"):
        read_group(path)


@pytest.mark.parametrize(("how", "share"), [("equal", 0.5), ("full", 1.0)])
def test_the_use_of_a_merged_entry_is_paid_in_shares_or_to_each_in_full(how, share):
    # The third decision, an admission, is merged with entry 0 of the same team; team 1 pulls what came of it.
    whole = hand_rollout()
    merged = replace(whole, edits=(Edit("update", 0, 1, 0, 1, 8.5, 2),), pulls=(Pull(1, 1, 0, 2, 9.0),))
    settings = CollateSettings(3, 4, merged_credit=how)
    trajectory, context = collate(RolloutGroup(TASK, 0, (merged,)), LetterEncoder(), settings)
    assert context.died_gn[0].tolist() == [3, ALIVE, ALIVE, ALIVE]  # no decision came after the third
    assert trajectory.action_mask_gkta is None and trajectory.target_gkt is None  # nobody chose among edits
    assert (trajectory.use_share_gkt is None) == (how == "full")
    bonus = np.asarray(usage_bonus(trajectory, usage_weight=0.4))
    assert bonus[0, 0, :2].tolist() == pytest.approx([0.4 * share, 0.4 * share])
    assert np.count_nonzero(bonus) == 2
    readers = np.asarray(cross_team_usage(trajectory, usage_weight=0.4, counting="each_reader"))
    assert readers[0, 0, :2].tolist() == pytest.approx([0.4 * share, 0.4 * share])


def test_groups_with_and_without_ended_entries_are_one_batch_where_it_is_asked_for():
    plain = RolloutGroup(TASK, 0, (hand_rollout(),))
    merged = RolloutGroup(TASK, 0, (replace(hand_rollout(), edits=(Edit("update", 0, 1, 0, 1, 8.5, 2),)),))
    with pytest.raises(ValueError, match="lives=True where entries are merged"):
        stack([collate(group, LetterEncoder(), CollateSettings(3, 4)) for group in (plain, merged)])
    lives = CollateSettings(3, 4, lives=True)
    trajectory, context = stack([collate(group, LetterEncoder(), lives) for group in (plain, merged)])
    assert trajectory.use_share_gkt.shape == (2, 1, 2, 3) and context.died_gn.shape == (2, 1, 4)
    assert trajectory.use_share_gkt[0].min() == 1.0  # where nothing was merged, all is the writer's
    with pytest.raises(UserError, match=r"collate\.merged_credit: expected equal or full, got 'none'"):
        CollateSettings(merged_credit="none")


def test_a_missing_score_survives_storage(tmp_path):
    rollout = read_group(write_group(tmp_path, RolloutGroup(TASK, 0, (hand_rollout(math.nan),)))).rollouts[0]
    assert math.isnan(rollout.reward_agg)


def test_unreadable_files_are_one_line_errors(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        read_group(tmp_path / "absent.parquet")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 but not really")
    with pytest.raises(UserError, match=r"broken\.parquet: not a readable Parquet file") as raised:
        read_group(tmp_path / "broken.parquet")
    assert "\n" not in str(raised.value)


def test_the_file_reads_with_datasets(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    path = write_group(tmp_path, RolloutGroup(TASK, 0, (hand_rollout(),)))
    loaded = datasets.load_dataset("parquet", data_files=str(path), split="train", cache_dir=str(tmp_path / "cache"))
    assert loaded[0]["steps"][1]["instruction"] == "find it"
    assert loaded[0]["pulls"][2] == {"entry": 1, "reader": 0, "writer": 0, "step": 2, "seconds": 9.0}


def test_collate_by_hand():
    settings = CollateSettings(max_steps=3, max_entries=4)
    trajectory, context = collate(RolloutGroup(TASK, 0, (hand_rollout(),)), LetterEncoder(), settings)
    assert trajectory.step_mask_gkt.tolist() == [[[True, True, False], [True, False, False]]]
    assert trajectory.decision_mask_gkt.tolist() == trajectory.step_mask_gkt.tolist()
    assert trajectory.action_gkt.tolist() == [[[1, 1, 0], [0, 0, 0]]]
    # Entry 1 was pulled by its own team only: not used, unless own pulls count.
    assert trajectory.used_gkt.tolist() == [[[True, False, False], [False, False, False]]]
    assert trajectory.num_other_readers_gkt.tolist() == [[[1, 0, 0], [0, 0, 0]]]
    assert trajectory.first_pull_seconds_gkt[0, 0].tolist() == [6.0, np.inf, np.inf]
    assert trajectory.step_seconds_gkt.tolist() == [[[4.0, 4.0, 0.0], [5.0, 0.0, 0.0]]]
    assert trajectory.finish_seconds_gk.tolist() == [[9.5, 12.0]]
    assert context.num_keys_gkt.tolist() == [[[0, 1, 0], [1, 0, 0]]]
    assert context.key_gnd.tolist() == [[[1, 1], [3, 1], [0, 0], [0, 0]]]
    assert context.step_gktsd[0, 1, 0].tolist() == [[7, 1], [2, 1], [4, 1]]
    assert context.query_d.tolist() == [9, 1]

    own, _ = collate(RolloutGroup(TASK, 0, (hand_rollout(),)), LetterEncoder(), replace(settings, own_pulls_count=True))
    assert own.used_gkt.tolist() == [[[True, True, False], [False, False, False]]]
    assert own.num_other_readers_gkt.tolist() == trajectory.num_other_readers_gkt.tolist()


def test_a_missing_reward_keeps_the_rollout_out():
    group = RolloutGroup(TASK, 0, (hand_rollout(), hand_rollout(math.nan)))
    trajectory, _ = collate(group, LetterEncoder(), CollateSettings(3, 4))
    assert trajectory.rollout_mask_g.tolist() == [True, False]


@pytest.mark.parametrize(
    ("stop_reasons", "counts"),
    [
        ((StopReason.SATISFIED, StopReason.ROUND_LIMIT), True),
        ((StopReason.CRASHED, StopReason.ROUND_LIMIT), True),  # one team that worked is enough
        ((StopReason.CRASHED, StopReason.CRASHED), False),
        ((StopReason.CRASHED, StopReason.MODEL_ERROR), False),
        ((StopReason.SATISFIED, StopReason.BUDGET), False),
    ],
)
def test_a_rollout_that_says_nothing_of_the_policy_does_not_count(stop_reasons, counts):
    pairs = zip(hand_rollout().answers, stop_reasons, strict=True)
    ended = replace(hand_rollout(), answers=tuple(replace(answer, stop_reason=why) for answer, why in pairs))
    trajectory, _ = collate(RolloutGroup(TASK, 0, (hand_rollout(), ended)), LetterEncoder(), CollateSettings(3, 4))
    assert trajectory.reward_agg_g.tolist() == [1.0, 1.0]
    assert trajectory.rollout_mask_g.tolist() == [True, counts]


def test_what_does_not_fit_is_an_error():
    group = RolloutGroup(TASK, 0, (hand_rollout(),))
    with pytest.raises(ValueError, match="took 2 steps, the padding holds 1"):
        collate(group, LetterEncoder(), CollateSettings(max_steps=1))
    with pytest.raises(ValueError, match="2 entries, the padding holds 1"):
        collate(group, LetterEncoder(), CollateSettings(max_entries=1))


def test_stack_adds_the_task_axis():
    pair = collate(RolloutGroup(TASK, 0, (hand_rollout(),)), LetterEncoder(), CollateSettings(3, 4))
    trajectory, context = stack([pair, pair, pair])
    assert trajectory.action_gkt.shape == (3, 1, 2, 3)
    assert context.step_gktsd.shape == (3, 1, 2, 3, 3, 2)


def five_entries() -> Rollout:
    """Five decisions of team 0, one after the other: add, add, update of 0, delete of 1, add of entry 3.

    decision  does               sees        then lives
    0         adds entry 0       -           0
    1         adds entry 1       0           0 1
    2         2 in place of 0    0 1         1 2
    3         ends 1             1 2         2
    4         adds entry 3       2           2 3
    5 (team 1) adds entry 4, asked before decision 2 was carried out: sees 0 1, whatever its sequence says
    """
    whole = hand_rollout()
    steps = [Step(0, number, "Coder", "go", "", f"out {number}", f"key {number}", 0.0, 1.0) for number in range(5)]
    late = Step(1, 0, "Coder", "go", "", "late", "key late", 0.0, 9.0)
    sees = ((0, 0), (1, 0), (2, 0), (3, 1), (3, 2))  # keys and edits before each
    does = ((1, -1, 0), (1, -1, 1), (2, 0, 2), (3, 1, -1), (1, -1, 3))  # action, target, entry
    decisions = [
        Decision(0, number, action, -0.5, 0.5, keys, number, float(number), entry, "rule", target, edits)
        for number, ((keys, edits), (action, target, entry)) in enumerate(zip(sees, does, strict=True))
    ]
    decisions.append(Decision(1, 0, 1, -0.5, 0.5, 2, 5, 1.5, 4, "rule", -1, 0))
    made_by = [(0, 0), (0, 1), (0, 2), (0, 4), (1, 0)]
    entries = [
        MemoryEntry(n, f"key {step}", f"out {step}", team, step, 1.0 + n) for n, (team, step) in enumerate(made_by)
    ]
    return replace(
        whole, steps=(*steps, late), decisions=tuple(decisions), entries=tuple(entries),
        edits=(Edit("update", 0, 2, 0, 2, 3.0, 2), Edit("delete", 1, None, 0, 3, 4.0, 3)),
        pulls=(Pull(2, 1, 0, 1, 6.0), Pull(1, 0, 0, 4, 3.5)),
    )  # fmt: skip


SEEN = {(0, 0): [], (0, 1): [0], (0, 2): [0, 1], (0, 3): [1, 2], (0, 4): [2], (1, 0): [0, 1]}


def visible(context: DecisionContext, team: int, step: int) -> list[int]:
    """What a decision sees, by the contract of `DecisionContext`."""
    num_keys, sequence = context.num_keys_gkt[0, team, step], context.sequence_gkt[0, team, step]
    return [n for n in range(num_keys) if context.died_gn[0, n] > sequence]


def test_five_entries_through_an_add_an_update_and_a_delete_are_seen_alike_by_bank_and_arrays():
    rollout = five_entries()
    trajectory, context = collate(RolloutGroup(TASK, 0, (rollout,)), LetterEncoder(), CollateSettings(6, 8))
    assert {place: visible(context, *place) for place in SEEN} == SEEN
    # One after the other an entry dies at the decision after the one that ended it; decision 5 comes before decision 2.
    assert context.sequence_gkt[0, 0, :5].tolist() == [0, 1, 2, 4, 5]
    assert (context.sequence_gkt[0, 1, 0], context.died_gn[0].tolist()) == (3, [4, 5, *[ALIVE] * 6])
    assert trajectory.target_gkt[0].tolist() == [[-1, -1, 0, 1, -1, -1], [-1] * 6]
    # A text bank that goes through the same lists the same before each decision of team 0.
    bank = MemoryBank()
    for step in rollout.steps[:5]:
        assert [entry.entry for entry in bank.list_entries(9)] == SEEN[0, step.step]
        decision = next(one for one in rollout.decisions if (one.team, one.step) == (0, step.step))
        if decision.action == 1:
            bank.add(step, 1.0 + step.step)
        elif decision.action == 2:
            bank.update(decision.target, step, 3.0, sequence=decision.sequence)
        else:
            bank.delete(decision.target, 0, step.step, 4.0, sequence=decision.sequence)
    bank.add(rollout.steps[5], 5.0)
    assert [entry.entry for entry in bank.list_entries(9)] == [2, 3, 4]
    assert bank.edits == rollout.edits


def test_what_was_legal_and_what_it_could_have_been_of():
    trajectory, _ = collate(RolloutGroup(TASK, 0, (five_entries(),)), LetterEncoder(), CollateSettings(6, 8))
    legal = trajectory.action_mask_gkta[0].astype(int).tolist()
    assert legal[0] == [[1, 1, 0, 0], *[[1, 1, 1, 1]] * 4, [1, 0, 0, 0]]  # nothing to edit yet; then padding
    assert legal[1] == [[1, 1, 1, 1], *[[1, 0, 0, 0]] * 5]
    could = trajectory.target_mask_gktj[0]
    pointed = {tuple(place): np.flatnonzero(could[tuple(place)]).tolist() for place in np.argwhere(could.any(-1))}
    assert pointed == {(0, 2): [0, 1], (0, 3): [1, 2]}
    assert trajectory.target_mask_gktj.shape == (1, 2, 6, 8 + 3)


def test_the_use_of_an_update_is_credited_to_the_first_writer_too():
    trajectory, _ = collate(RolloutGroup(TASK, 0, (five_entries(),)), LetterEncoder(), CollateSettings(6, 8))
    # Entry 2, of step 2, was pulled by team 1; it stands in place of entry 0, of step 0. Entry 1: by its writer alone.
    assert np.argwhere(trajectory.used_gkt[0]).tolist() == [[0, 0], [0, 2]]
    assert trajectory.num_other_readers_gkt[0, 0].tolist() == [1, 0, 1, 0, 0, 0]
    assert trajectory.first_pull_seconds_gkt[0, 0, [0, 2]].tolist() == [6.0, 6.0]


def test_without_edits_nothing_is_added_unless_the_batch_has_some():
    group = RolloutGroup(TASK, 0, (hand_rollout(),))
    plain, seen = collate(group, LetterEncoder(), CollateSettings(4, 4))
    added = ("action_mask_gkta", "target_gkt", "target_mask_gktj", "use_share_gkt")
    assert [getattr(plain, name) for name in added] == [None] * 4
    assert (seen.died_gn, seen.sequence_gkt) == (None, None)
    asked, lives = collate(group, LetterEncoder(), CollateSettings(4, 4, edits=True))
    assert lives.died_gn.tolist() == [[ALIVE] * 4]
    assert asked.target_gkt.max() == -1 and not asked.target_mask_gktj.any() and asked.use_share_gkt.min() == 1.0
    for name in (item.name for item in fields(Trajectory) if item.name not in added):
        np.testing.assert_array_equal(getattr(asked, name), getattr(plain, name))
    with pytest.raises(ValueError, match="expected edits in all or in none; collate all of them with edits=True"):
        stack([(plain, seen), (asked, lives)])
    assert stack([(asked, lives)] * 2)[1].died_gn.shape == (2, 1, 4)


def _changed(place: int, **changes) -> Rollout:
    rollout = five_entries()
    decisions = list(rollout.decisions)
    decisions[place] = replace(decisions[place], **changes)
    return replace(rollout, decisions=tuple(decisions))


@pytest.mark.parametrize(
    ("rollout", "told"),
    [
        (lambda: _changed(3, target=0), r"decision 3: expected delete of an entry that it sees \(1, 2\), got 0"),
        (lambda: _changed(2, target=3), r"decision 2: expected update of an entry that it sees \(0, 1\), got 3"),
        (
            lambda: _changed(0, action=3, target=0),
            r"decision 0: expected delete of an entry that it sees \(none\), got 0",
        ),
        (lambda: _changed(4, action=5), "decision 4: expected an action from 0 to 3, got 5"),
        (lambda: _changed(4, num_edits=3), "decision 4: expected at most the 2 edits of its rollout before it, got 3"),
        (
            lambda: replace(five_entries(), edits=(Edit("delete", 3, None, 0, 2, 3.0, 2),)),
            "edit 0: expected entry 3 to end after it came at 4 s, got 3 s",
        ),
    ],
)
def test_edits_that_cannot_be_are_one_line(rollout, told):
    with pytest.raises(ValueError, match=told):
        collate(RolloutGroup(TASK, 0, (rollout(),)), LetterEncoder(), CollateSettings(6, 8))
