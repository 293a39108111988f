"""A policy that edits the shared memory: what it ends is listed no more, and what it gets wrong is refused."""

import asyncio
import json
from dataclasses import dataclass, field, replace

import jax
import jax.numpy as jnp
import pytest

from lts_jax import prompts
from lts_jax.admission.policy import Admission
from lts_jax.bridge.collate import CollateSettings, collate, stack
from lts_jax.credit.schemes import SCHEMES
from lts_jax.errors import UserError
from lts_jax.learning.settings import LearningSettings
from lts_jax.learning.state import init_state
from lts_jax.learning.update import make_update
from lts_jax.llm.chat import Completion
from lts_jax.memory.encoders import HashingEncoder
from lts_jax.memory.reading import ReadingSettings
from lts_jax.models.set_transformer import SetTransformerSettings, set_transformer
from lts_jax.records import Coordinates, Edit, RolloutGroup, StopReason, Task, ToolResult
from lts_jax.rollouts.latency import LatencySettings
from lts_jax.rollouts.rollout import RolloutParts, run_rollout
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.teams.settings import TeamSettings

TASK = Task("t", "How tall is the tower?", "42", "test")
PLACE = Coordinates(3, 0, "t", 0)


@dataclass
class Climber:
    """Searches `num_steps` times, then answers; pulls all that it is shown."""

    num_steps: int = 3
    name: str = "scripted"
    listings: list[str] = field(default_factory=list)

    async def complete(self, messages, *, seed, json_reply=False):
        asked = messages[-1].content.split("\n", 1)[0]
        purpose = next(name for name, opening in prompts.OPENINGS.items() if opening == asked)
        number = sum(message.name == "WebSurfer" for message in messages)
        if purpose == "summarize":
            number = int(messages[-1].content.partition("height number ")[2][0])
        if purpose == "select":
            self.listings.append(messages[-1].content)
        answers = (number >= self.num_steps, False, True, "WebSurfer", f"Find height number {number}.")
        told = zip(prompts.LEDGER_FIELDS, answers, strict=True)
        replies = {
            "ledger": json.dumps({name: {"reason": "r", "answer": value} for name, value in told}),
            "act": '{"tool": "web_search", "arguments": {"query": "tower height"}}',
            "report": f"The tower is 4{number} m tall.",
            "summarize": f"Looked for height {number} of the tower and found that it is 4{number} m tall.",
            "select": "SELECTED_KEYS = [0, 1, 2, 3, 4, 5]",
            "answer": "FINAL ANSWER: 42",
            "aggregate": "FINAL ANSWER: 42",
        }
        return Completion(replies.get(purpose, "- look it up"), len(messages), 10, self.name)


@dataclass(frozen=True)
class Script:
    """Decides by (team, step); what is not named is admitted. Waits for nobody."""

    moves: dict
    requests: list = field(default_factory=list)
    name: str = "script"
    listing_window: int | None = None

    async def decide(self, request, ask):
        self.requests.append(request)
        return self.moves.get((request.step.team, request.step.step), Admission(1, 0.0, 1.0))


def run(moves, num_teams=1, num_steps=3, model=None, **settings):
    script = Script(moves)
    parts = RolloutParts(model or Climber(num_steps), lambda tool, given: ToolResult("a page", tool=tool), script)
    made = RolloutSettings(num_teams=num_teams, team=TeamSettings(max_rounds=8), **settings)
    return asyncio.run(run_rollout(TASK, PLACE, parts, made)), script


def test_an_update_and_a_delete_stand_in_the_record_with_what_each_decision_saw():
    rollout, script = run({(0, 1): Admission(2, -0.5, 0.2, target=0), (0, 2): Admission(3, -0.7, 0.1, target=1)})
    assert rollout.reward_agg == 1.0
    first, second = rollout.entries
    assert (second.parents, second.step, second.key[:19]) == ((0,), 1, "Looked for height 1")
    assert [(edit.kind, edit.entry, edit.successor, edit.team, edit.step, edit.sequence) for edit in rollout.edits] == [
        ("update", 0, 1, 0, 1, 1), ("delete", 1, None, 0, 2, 2),
    ]  # fmt: skip
    assert [(one.action, one.target, one.entry, one.num_keys, one.num_edits) for one in rollout.decisions] == [
        (1, -1, 0, 0, 0), (2, 0, 1, 1, 0), (3, 1, -1, 2, 1),
    ]  # fmt: skip
    assert [sorted(request.ended) for request in script.requests] == [[], [], [0]]
    assert list(script.requests[2].living_keys) == [second.key]
    assert script.requests[0].living_keys is script.requests[0].keys
    assert first.seconds < rollout.edits[0].seconds < rollout.edits[1].seconds


@pytest.mark.parametrize("target", [0, 7])
@pytest.mark.parametrize("action", [2, 3])
def test_a_target_that_is_gone_or_unknown_is_refused_and_the_team_goes_on(action, target):
    rollout, _ = run({(0, 1): Admission(3, 0.0, 0.0, target=0), (0, 2): Admission(action, 0.0, 0.0, target=target)})
    assert [answer.stop_reason for answer in rollout.answers] == [StopReason.SATISFIED]
    assert [edit.sequence for edit in rollout.edits] == [1]
    assert (rollout.decisions[2].target, rollout.decisions[2].entry, len(rollout.entries)) == (target, -1, 1)


def test_teams_are_not_shown_what_ended():
    model, all_each_time = (
        Climber(4),
        ReadingSettings(include_own=True, list_pulled_again=True, ask_only_when_new=False),
    )
    moves = {(0, 1): Admission(2, 0.0, 0.0, target=0), (0, 2): Admission(3, 0.0, 0.0, target=1)}
    rollout, _ = run(moves, num_steps=4, model=model, reading=all_each_time)
    shown = [[entry.entry for entry in rollout.entries if entry.key in listing] for listing in model.listings]
    assert shown == [[0], [1], [2]]  # nothing is listed before step 3: both entries have ended
    assert [pull.entry for pull in rollout.pulls] == [0, 1, 2]


def test_two_teams_that_end_one_entry_at_once_end_it_once():
    # Both second decisions are asked for while the other waits: 30 s each, and steps take less.
    slow = LatencySettings(decision_seconds=60.0, contention=0.0)
    moves = {(team, 1): Admission(3, 0.0, 0.0, target=0) for team in (0, 1)}
    rollout, _ = run(moves, 2, 2, latency=slow)
    ends = [one for one in rollout.decisions if one.action == 3]
    assert [one.target for one in ends] == [0, 0]
    assert [one.num_edits for one in ends] == [0, 0]  # both saw it alive
    assert [(edit.entry, edit.sequence) for edit in rollout.edits] == [(0, ends[0].sequence)]


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (
            lambda: Admission(2, 0.0, 0.0),
            "Admission.target: expected the id of an entry, as the action is update, got -1",
        ),
        (lambda: Admission(1, 0.0, 0.0, target=4), "Admission.target: expected -1 where the action is no edit, got 4"),
        (
            lambda: Admission(4, 0.0, 0.0),
            r"Admission.action: expected one of 0 \(noop\), 1 \(add\), 2 \(update\), 3 \(delete\), got 4",
        ),
    ],
)
def test_a_decision_that_nobody_can_carry_out_is_one_line(made, told):
    with pytest.raises(UserError, match=told):
        made()


def test_arrays_of_an_edited_run_train_a_network_of_four_actions_and_no_other():
    rollout, _ = run({(0, 1): Admission(2, -0.5, 0.2, target=0), (0, 2): Admission(3, -0.7, 0.1, target=1)})
    other = replace(run({})[0], reward_agg=0.0)
    encoder = HashingEncoder(16)
    batch = stack([collate(RolloutGroup(TASK, 0, (rollout, other)), encoder, CollateSettings(4, 6))])
    shape = SetTransformerSettings(embedding_width=16, width=8, num_heads=2)
    learning, credit = LearningSettings(), SCHEMES["group_relative"]
    four = set_transformer(replace(shape, num_actions=4, targets=True))
    state = init_state(four, learning, jax.random.key(0))
    new, _, credit_bgkt = make_update(four, credit, learning)(state, *batch)
    assert int(new.num_updates) == 1 and float(abs(credit_bgkt).max()) > 0.0
    assert new.params["project_state"]["kernel"].shape == (8, 8)  # what points is trained too
    assert not jnp.array_equal(new.params["project_state"]["kernel"], state.params["project_state"]["kernel"])
    two = set_transformer(shape)
    told = r"expected a network of 4 actions, as set_transformer\(num_actions=4, targets=true\), got 2"
    with pytest.raises(UserError, match=told):
        make_update(two, credit, learning)(init_state(two, learning, jax.random.key(0)), *batch)


def test_without_edits_a_rollout_is_what_it_was():
    rollout, _ = run({(0, 1): Admission(0, 0.0, 0.0)})
    assert (rollout.edits, rollout.drawers) == ((), ())
    assert [(one.target, one.num_edits) for one in rollout.decisions] == [(-1, 0)] * 3
    assert replace(rollout.decisions[0], num_edits=-1).target == -1
    assert Edit("delete", 0, None, 0, 0, 0.0, 0) not in rollout.edits
