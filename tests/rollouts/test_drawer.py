"""AgeMem's three stages with a scripted model: facts are told, the context is cleared, the question is asked."""

import asyncio
import json
from dataclasses import dataclass, field, replace
from functools import partial

import pytest

from lts_jax import prompts
from lts_jax.admission.rules import RULES
from lts_jax.errors import UserError
from lts_jax.llm.chat import Completion
from lts_jax.llm.recorded import ReplayModel
from lts_jax.memory.drawer import MEMORY_TOOLS
from lts_jax.memory.encoders import HashingEncoder
from lts_jax.records import Coordinates, OwnTool, Pull, RolloutGroup, StopReason, Task, ToolResult
from lts_jax.reports.timeline import timeline
from lts_jax.rollouts.collect import CollectSettings, Iteration, collect_groups
from lts_jax.rollouts.rollout import RolloutParts, run_rollout
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.rollouts.store import read_group, write_group
from lts_jax.teams.settings import TeamSettings

FACTS = ("The code heron-4 is of Mill pond.", "The code otter-7 is of Long pond.")
TASK = Task("t", "Which pond has the code heron-4?", "Mill pond", "test", told=FACTS)
PLACE = Coordinates(3, 0, "t", 0)
KEPT = RolloutSettings(num_teams=1, team=TeamSettings(max_rounds=12), drawer=True)


def call(tool, **arguments):
    return json.dumps({"tool": tool, "arguments": arguments})


@dataclass
class Listener:
    """Makes the calls of `keeps` while it is told something, and those of `asks` once it is asked; then answers.

    It answers with what it sees: the pond of the code, if that stands anywhere before it.
    """

    keeps: tuple[str, ...] = ()
    asks: tuple[str, ...] = (call("Retrieve_memory", query="the code heron-4"),)
    name: str = "listener"
    requests: list = field(default_factory=list)

    async def complete(self, messages, *, seed, json_reply=False):
        asked = messages[-1].content.split("\n", 1)[0]
        purpose = next(name for name, opening in prompts.OPENINGS.items() if opening == asked)
        self.requests.append((purpose, tuple(messages)))
        thread = [message for message in messages if message.role != "system"]
        calls = self.keeps if prompts.LISTENING in thread[0].content else self.asks
        made = sum(message.content.startswith(f"{prompts.TOOL_USER}: ") for message in thread)
        answers = (made >= len(calls), False, True, prompts.TOOL_USER, f"Call number {made}.")
        told = zip(prompts.LEDGER_FIELDS, answers, strict=True)
        seen = any("heron-4 is of Mill pond" in message.content for message in thread)
        replies = {
            "ledger": json.dumps({name: {"reason": "r", "answer": value} for name, value in told}),
            "act": calls[made - 1] if 0 < made <= len(calls) else "",
            "report": "The tool answered.",
            "summarize": "A step was taken.",
            "select": "SELECTED_KEYS = []",
            "answer": "FINAL ANSWER: Mill pond" if seen else "FINAL ANSWER: unknown",
            "aggregate": "FINAL ANSWER: Mill pond" if seen else "FINAL ANSWER: unknown",
        }
        return Completion(replies.get(purpose, "- look it up"), len(messages), 10, self.name)


STORES = tuple(call("Add_memory", content=fact) for fact in FACTS)


def run(model, settings=KEPT, task=TASK, policy="none", **changes):
    parts = RolloutParts(model, lambda tool, given: ToolResult("a page", tool=tool), RULES[policy](), **changes)
    return asyncio.run(run_rollout(task, PLACE, parts, settings))


def outputs(rollout):
    return [(step.output.rpartition("\n\n")[2], step.failed) for step in rollout.steps]


@pytest.mark.parametrize("num_teams", [1, 2])
def test_who_stores_a_fact_and_retrieves_it_is_right_and_who_does_not_store_is_wrong(num_teams):
    settings = replace(KEPT, num_teams=num_teams)
    right, wrong = run(Listener(STORES), settings), run(Listener(), settings)
    assert (right.reward_agg, right.final.text) == (1.0, "Mill pond")
    assert (wrong.reward_agg, wrong.final.text) == (0.0, "unknown")
    for team in range(num_teams):
        assert [entry.value for entry in right.drawers[team].entries] == list(FACTS)
        assert wrong.drawers[team].entries == ()


def test_the_question_comes_to_a_context_without_what_was_told():
    model = Listener(STORES)
    rollout = run(model)
    told, asked = [], []
    for purpose, messages in model.requests:
        texts = "\n".join(message.content for message in messages)
        (told if prompts.LISTENING in texts else asked).append((purpose, texts))
    assert {purpose for purpose, _ in told} == {"ledger", "act", "report"}
    assert not [texts for _, texts in told if TASK.question in texts]
    before = [texts for purpose, texts in asked if purpose in ("facts", "plan")] + [asked[2][1]]
    assert not [texts for texts in before if FACTS[0] in texts or FACTS[1] in texts]
    assert prompts.WAS_TOLD in asked[2][1]
    assert [step.agent for step in rollout.steps] == [prompts.TOOL_USER] * 3
    assert [step.step for step in rollout.steps] == [0, 1, 2]


def test_a_drawer_is_off_by_default_and_then_nothing_is_told_or_offered():
    model = Listener(STORES, asks=())
    rollout = run(model, replace(KEPT, drawer=False))
    assert (rollout.reward_agg, rollout.drawers) == (0.0, ())
    texts = "\n".join(message.content for _, messages in model.requests for message in messages)
    assert not [word for word in (FACTS[0], "Add_memory", prompts.TOOL_USER, prompts.LISTENING) if word in texts]
    assert RolloutSettings().drawer is False


def test_memories_are_updated_deleted_and_retrieved_nearest_first_and_every_edit_is_kept():
    keeps = (
        call("Add_memory", content="heron-4 was of Long pond."),
        call("Add_memory", content="The weather is fine."),
        call("Update_memory", memory_id=0, content=FACTS[0]),
        call("Delete_memory", memory_id="1"),
    )
    asks = (call("Retrieve_memory", query="heron-4"), call("Retrieve_memory", query="the weather"))
    rollout = run(Listener(keeps, asks), encoder=HashingEncoder(64))
    assert rollout.reward_agg == 1.0
    assert outputs(rollout) == [
        ("Kept as memory 0.", False),
        ("Kept as memory 1.", False),
        ("Memory 0 is now memory 2.", False),
        ("Memory 1 is gone.", False),
        (f"[2] {FACTS[0]}", False),
        (f"[2] {FACTS[0]}", False),
    ]
    [drawer] = rollout.drawers
    edits = [(edit.kind, edit.entry, edit.successor, edit.step, edit.sequence) for edit in drawer.edits]
    assert edits == [("update", 0, 2, 2, 0), ("delete", 1, None, 3, 1)]
    assert [(pull.entry, pull.reader, pull.writer, pull.step) for pull in drawer.pulls] == [(2, 0, 0, 4), (2, 0, 0, 5)]
    assert isinstance(drawer.pulls[0], Pull) and drawer.entries[2].parents == (0,)
    assert rollout.edits == ()  # of the shared memory


def test_a_retrieval_brings_the_five_nearest():
    keeps = tuple(call("Add_memory", content=f"pond {name}") for name in ("a", "b", "c", "d", "heron", "f", "g"))
    settings = replace(KEPT, team=TeamSettings(max_rounds=30, max_told_rounds=9))
    rollout = run(Listener(keeps, (call("Retrieve_memory", query="heron"),)), settings, encoder=HashingEncoder(64))
    shown = outputs(rollout)[-1][0].split("\n")
    assert shown[0] == "[4] pond heron" and len(shown) == 5
    blind = run(Listener(keeps, (call("Retrieve_memory", query="heron"),)), settings)
    assert outputs(blind)[-1][0].split("\n")[:2] == ["[6] pond g", "[5] pond f"]  # without an encoder the newest


MALFORMED = [
    ('{"tool": "Add_memory", "arguments": {"content": "x"', "the reply holds no tool call"),
    ("Add_memory: heron-4", "the reply holds no tool call"),
    ('{"tool": "Add_memory", "arguments": ["x"]}', "the arguments of Add_memory are not an object"),
    ('{"tool": "Forget_memory", "arguments": {}}', "it has no tool 'Forget_memory', only Add_memory, Update_memory"),
    (call("Add_memory"), "content is missing; it is called as Add_memory(content: str)"),
    (call("Add_memory", text="x"), "content is missing; it is called as Add_memory(content: str)"),
    (
        call("Add_memory", content="x", tags=["y"]),
        "there is no argument 'tags'; it is called as Add_memory(content: str)",
    ),
    (call("Add_memory", content=5), "content: expected a text, got 5"),
    (call("Add_memory", content=None), "content: expected a text, got None"),
    (call("Add_memory", content=" \u200b"), "content: expected a text, got an empty one"),
    (call("Add_memory", content="x" * 10_000), "content: expected at most 2,000 characters, got 10,000"),
    (call("Update_memory", memory_id=7, content="x"), "no memory entry 7: the bank holds 0 entries, numbered from 0"),
    (call("Update_memory", memory_id=0), "content is missing"),
    (call("Delete_memory", memory_id="all"), "memory_id: expected the number of a memory, got 'all'"),
    (call("Delete_memory", memory_id=True), "memory_id: expected the number of a memory, got True"),
    (call("Delete_memory", memory_id=1.5), "memory_id: expected the number of a memory, got 1.5"),
    (call("Delete_memory", memory_id=-1), "no memory entry -1"),
    (call("Delete_memory", memory_id=10**30), f"no memory entry {10**30}"),
    (call("Retrieve_memory", query={"a": 1}), "query: expected a text, got {'a': 1}"),
    (call("Retrieve_memory", query="q" * 10_000), "query: expected at most 2,000 characters, got 10,000"),
    (call("Summary_context", summary=["x"]), "summary: expected a text, got ['x']"),
    (call("Filter_context", criteria="zebra"), "holds all of the words 'zebra'"),
    (call("Filter_context"), "criteria is missing; it is called as Filter_context(criteria: str)"),
    ("x" * 10_000, "the reply holds no tool call"),
    ("", "the reply was empty"),
]


@pytest.mark.parametrize(("reply", "told"), MALFORMED)
def test_a_malformed_call_is_a_failed_observation_and_the_team_goes_on(reply, told):
    rollout = run(Listener((), (reply, call("Retrieve_memory", query="heron"))))
    first, second = rollout.steps
    assert told in first.output
    assert first.failed and not second.failed
    assert [answer.stop_reason for answer in rollout.answers] == [StopReason.SATISFIED]


def test_what_ended_cannot_be_edited_again():
    keeps = (STORES[0], call("Delete_memory", memory_id=0), call("Update_memory", memory_id=0, content="x"))
    rollout = run(Listener(keeps))
    assert ("Update_memory: memory entry 0 has ended" in rollout.steps[2].output, rollout.steps[2].failed) == (
        True,
        True,
    )
    assert outputs(rollout)[3] == ("The memory is empty.", False)
    assert len(rollout.drawers[0].edits) == 1


def test_a_summary_takes_the_place_of_the_context_and_a_filter_takes_messages_out():
    asks = (
        call("Retrieve_memory", query="heron-4"),
        call("Summary_context", summary="Nothing of interest."),
        call("Add_memory", content="a zebra"),
        call("Filter_context", criteria="ZEBRA kept"),
    )
    keeps = Listener(STORES, asks)
    rollout = run(keeps)
    assert rollout.reward_agg == 0.0  # what was retrieved went with the summary
    assert outputs(rollout)[3] == ("2 messages gave way to the summary.", False)
    last = keeps.requests[-1][1]
    assert prompts.WAS_TOLD in last[0].content and last[1].content.endswith("\nNothing of interest.")
    assert [message.name for message in last[:2]] == ["Orchestrator", "Context"]


def test_values_of_the_shared_memory_that_left_the_context_are_offered_again():
    listed = []

    class Selecting(Listener):
        async def complete(self, messages, *, seed, json_reply=False):
            if messages[-1].content.startswith(prompts.OPENINGS["select"]):
                listed.append(messages[-1].content.partition("[0] ")[2][:6])
                return Completion("SELECTED_KEYS = [0]", 1, 1, self.name)
            return await super().complete(messages, seed=seed, json_reply=json_reply)

    asks = (call("Add_memory", content="a"), call("Filter_context", criteria="shared memory entry"), STORES[0])
    settings = replace(KEPT, reading=replace(KEPT.reading, include_own=True))
    rollout = run(Selecting((), asks), settings, policy="all")
    assert [pull.entry for pull in rollout.pulls].count(0) == 2 and len(listed) >= 2
    assert outputs(rollout)[1] == ("1 messages were taken out.", False)


def test_drawers_come_back_from_disk_from_the_journal_and_after_a_stop(tmp_path):
    keeps = (*STORES, call("Update_memory", memory_id=1, content="Otters left."), call("Delete_memory", memory_id=2))
    rollout = run(Listener(keeps))
    assert len(rollout.drawers[0].edits) == 2
    group = RolloutGroup(TASK, 0, (rollout,))
    assert read_group(write_group(tmp_path / "stored", group)) == group
    recorded = run(ReplayModel(tmp_path / "calls", Listener(keeps), name="listener"))
    again = run(ReplayModel(tmp_path / "calls", None, name="listener"))  # no model: every call is in the journal
    assert again.drawers == recorded.drawers == rollout.drawers
    collect = partial(
        collect_groups, [TASK], settings=KEPT, collecting=CollectSettings(2), iteration=Iteration(3, 0), folder=tmp_path
    )
    model = Listener(keeps)
    parts = RolloutParts(model, lambda tool, given: ToolResult("", tool=tool), RULES["none"]())
    [made] = collect(parts=parts)
    num_requests = len(model.requests)
    [read] = collect(parts=parts)
    assert read == made and len(model.requests) == num_requests  # read, not run again
    assert [len(one.drawers[0].edits) for one in read.rollouts] == [2, 2]


def test_the_timeline_has_a_mark_for_each_edit():
    keeps = (*STORES, call("Update_memory", memory_id=1, content="Otters left."), call("Delete_memory", memory_id=2))
    drawn = str(timeline(run(Listener(keeps))))
    assert "Team 0 replaces memory 1 of its own by 2" in drawn and "Otters left." in drawn
    assert "Team 0 takes memory 2 of its own out" in drawn
    assert "2 edits" in drawn


def test_tools_of_one_name_and_teams_that_do_not_listen_are_refused_before_anything_is_asked():
    model = Listener()
    with pytest.raises(UserError, match=r"rollout\.drawer: Add_memory is the name of one of its tools"):
        run(model, own_tools=(OwnTool("Add_memory", (), "Add_memory()", "mine"),))
    with pytest.raises(UserError, match="task t: told: expected teams of our own engine"):
        run(model, run_team=lambda *given: None)
    assert not model.requests
    assert [tool.name for tool in MEMORY_TOOLS] == [
        "Add_memory", "Update_memory", "Delete_memory", "Retrieve_memory", "Summary_context", "Filter_context",
    ]  # fmt: skip
