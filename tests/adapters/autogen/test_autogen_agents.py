"""Teams of AutoGen's own agents and prompts, scripted word by word: what is shared, recorded, scored, learned."""

import asyncio
import json
import logging

import jax
import numpy as np
import pytest

pytest.importorskip("autogen_ext", reason="needs the extra autogen: pip install 'lts-jax[autogen]'")

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import MagenticOneGroupChat
from autogen_core import EVENT_LOGGER_NAME, FunctionCall
from autogen_core.models import CreateResult, ModelInfo, RequestUsage
from autogen_ext.models.replay import ReplayChatCompletionClient

from lts_jax.adapters.autogen.chat_model import AutogenChatModel
from lts_jax.adapters.autogen.client import CallGate
from lts_jax.adapters.autogen.side import AutogenSettings, AutogenSide
from lts_jax.adapters.autogen.team import autogen_parts
from lts_jax.admission.rules import admit_all
from lts_jax.bridge.collate import CollateSettings, collate
from lts_jax.bridge.decide import BatchedDecider, DeciderSettings
from lts_jax.bridge.learned import LearnedPolicy
from lts_jax.logs.importers import import_autogen
from lts_jax.memory.encoders import HashingEncoder
from lts_jax.models.set_transformer import SetTransformerSettings, set_transformer
from lts_jax.records import Coordinates, Origin, RolloutGroup, StopReason, Task, Trust
from lts_jax.rollouts.rollout import run_rollout
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.wording import LEDGER_FIELDS

TASK = Task("lake", "How deep is Lake Aber, in metres?", "31", "validation", scoring="gaia")
VALUE = "Lake Aber is 31 m deep."
ABLE = ModelInfo(vision=False, function_calling=True, json_output=True, family="unknown", structured_output=False)
ORDER = {"is_in_loop": False, "is_progress_being_made": True, "instruction_or_question": "Look it up."}
COORDINATES = Coordinates(0, 0, "lake", 0)


def ledger(*answers):
    return json.dumps({name: {"reason": "", "answer": each} for name, each in zip(LEDGER_FIELDS, answers, strict=True)})


class Script(ReplayChatCompletionClient):
    """A model client that answers by what it is asked. The second team begins when the first one has its answer."""

    def __init__(self):
        super().__init__([], model_info=ABLE)
        self.asked, self.num_facts = [], 0
        self.answered = asyncio.Event()

    async def create(self, messages, *, tools=(), json_output=None, extra_create_args=None, **_):
        self.asked.append((messages, json_output, extra_create_args))
        reply = await self.reply(messages, messages[-1].content, tools)
        return CreateResult(finish_reason="stop", content=reply, usage=RequestUsage(10, 2), cached=False)

    async def reply(self, messages, request, tools):
        if tools:
            return [FunctionCall(id="c1", name="look_up", arguments='{"lake": "Aber"}')]
        if "pre-survey" in request:
            self.num_facts += 1
            if self.num_facts == 2:
                await self.answered.wait()
            return "1. GIVEN OR VERIFIED FACTS: none"
        if "bullet-point plan" in request:
            return "- Ask the clerk."
        if "Recall we are working on" in request:
            done = any(getattr(each, "source", "") == "Clerk" for each in messages)
            return ledger(done, False, True, "Clerk", "Look up the lake.")
        if request.startswith("Summarize"):
            return "The clerk looked up Lake Aber and found that it is 31 m deep."
        if request.startswith("Shared memory."):
            return "SELECTED_KEYS = [0]"
        self.answered.set()
        assert request.startswith("Combine") or "final answer" in request.lower()  # ours, or AutoGen's
        return "FINAL ANSWER: 31"


async def look_up(lake: str) -> str:
    """Looks a lake up."""
    return VALUE if lake == "Aber" else "no such lake"


def clerks(side):
    return [AssistantAgent("Clerk", side.client(), tools=[look_up])]


def run(policy):
    async def main():
        script = Script()
        parts = autogen_parts(AutogenChatModel(script, "script"), clerks, policy, encoder=HashingEncoder())
        return script, await run_rollout(TASK, COORDINATES, parts, RolloutSettings(num_teams=2))

    return asyncio.run(main())


def test_a_right_answer_scores_one_and_the_second_team_reads_the_first():
    _, rollout = run(admit_all())
    assert (rollout.reward_agg, rollout.reward_first, rollout.final.text) == (1.0, 1.0, "31")
    assert [(each.text, each.stop_reason, each.num_steps) for each in rollout.answers] == [
        ("31", StopReason.SATISFIED, 1)
    ] * 2
    first, second = rollout.steps
    assert (first.team, first.agent, first.instruction, first.output) == (0, "Clerk", "Look up the lake.", VALUE)
    assert first.action == 'look_up {"lake": "Aber"}' and not first.failed
    assert first.summary == "The clerk looked up Lake Aber and found that it is 31 m deep."
    assert 0.0 < first.started_seconds <= first.finished_seconds < second.started_seconds
    entry, own = rollout.entries
    assert (entry.key, entry.value, entry.team, entry.step) == (first.summary, VALUE, 0, 0)
    assert (entry.origin, entry.source, entry.trust) == (Origin.UNKNOWN, "look_up", Trust.UNTRUSTED)
    assert entry.parents == () and own.parents == (0,)  # the second team had read the first before it wrote
    (pull,) = rollout.pulls
    assert (pull.entry, pull.reader, pull.writer, pull.step) == (0, 1, 0, 0)
    assert [(each.team, each.num_keys, each.sequence, each.entry) for each in rollout.decisions] == [
        (0, 0, 0, 0),
        (1, 1, 1, 1),
    ]


def test_every_call_is_recorded_once_and_told_what_it_needs():
    script, rollout = run(admit_all())
    assert len(script.asked) == len(rollout.calls) and rollout.tokens == 12 * len(rollout.calls)
    assert [call.purpose for call in rollout.calls if call.team == 1] == [
        "facts", "plan", "select", "ledger", "work", "summarize", "ledger", "answer",
    ]  # fmt: skip
    assert all(0 <= extra["seed"] < 2**31 for _, _, extra in script.asked)
    json_modes = {bool(json_output) for messages, json_output, _ in script.asked if "Recall" in str(messages[-1])}
    assert json_modes == {True}  # AutoGen's own wish, passed on
    shown = [
        each for messages, _, _ in script.asked for each in messages if getattr(each, "source", "") == "SharedMemory"
    ]
    assert len(shown) == 4  # two ledgers, the clerk and the final answer of team 1; never team 0
    assert all("<<<\n" + VALUE + "\n>>>" in each.content for each in shown)


def test_the_agents_see_pulled_values_too():
    script, _ = run(admit_all())
    clerk = [messages for messages, _, _ in script.asked if "helpful" in str(messages[0].content)]
    assert [any("Shared memory entry 0" in str(each.content) for each in messages) for messages in clerk] == [
        False,
        True,
    ]


def test_a_learned_controller_decides_and_can_be_trained_on_the_record():
    encoder = HashingEncoder(16)
    settings = SetTransformerSettings(embedding_width=16, width=8, num_layers=1, num_heads=2, key_window=4)
    network = set_transformer(settings)
    params = network.init(jax.random.key(1))
    deciding = DeciderSettings(batch_size=1, key_buckets=(4,), max_wait_seconds=0.01)
    _, rollout = run(LearnedPolicy(BatchedDecider(network, params, encoder, deciding), "learned:small"))
    assert {each.controller for each in rollout.decisions} == {"learned:small"}
    trajectory, context = collate(RolloutGroup(TASK, 0, (rollout,)), encoder, CollateSettings(2, 4))
    logits = jax.jit(network.packed_logits)(params, context)
    log_probs = np.asarray(jax.nn.log_softmax(logits / deciding.temperature, axis=-1))
    for team in (0, 1):
        taken = log_probs[0, team, 0, trajectory.action_gkt[0, team, 0]]
        assert taken == pytest.approx(trajectory.behavior_log_prob_gkt[0, team, 0], abs=1e-5)
        assert -5.0 < taken < -0.01
    assert trajectory.rollout_mask_g.all()


@pytest.mark.parametrize(
    ("agent", "calls", "wanted"),
    [
        ("Coder", [], ("model:Coder",)),
        ("Clerk", [], ("model:Clerk",)),
        ("WebSurfer", [], ("web:WebSurfer",)),
        ("Clerk", [("look_up", {}, "x")], ("unknown:look_up",)),
        ("ComputerTerminal", [("shell", {}, "x")], ("tool:shell",)),
        ("Clerk", [("visit_url", {"url": "https://a.example"}, "x")], ("web:https://a.example",)),
        (
            "FileSurfer",
            [("open_path", {}, "x"), ("open_file", {"name": "a.csv"}, "x")],
            ("file:open_path", "file:a.csv"),
        ),
    ],
)
def test_where_a_step_has_its_content_from(agent, calls, wanted):
    side = AutogenSide(TASK, 0, None, None, None, AutogenSettings(), CallGate(None))
    assert side.origins_of(agent, calls) == wanted


def test_a_team_of_one_need_not_name_its_speaker(monkeypatch):
    """AutoGen fills the name in; a flag that is missing too would end its orchestrator."""
    monkeypatch.setitem(globals(), "ledger", lambda done, *_: json.dumps(ORDER | {"is_request_satisfied": done}))
    _, rollout = run(admit_all())
    assert [(each.agent, each.instruction) for each in rollout.steps] == [("Clerk", "Look it up.")] * 2
    assert rollout.reward_agg == 1.0


def test_secrets_that_a_tool_shows_are_not_shared(monkeypatch):
    monkeypatch.setenv("LAKE_API_KEY", "sk-0123456789abcdefghij")
    monkeypatch.setitem(globals(), "VALUE", VALUE + " sk-0123456789abcdefghij")
    _, rollout = run(admit_all())
    assert rollout.entries[0].value.startswith("Lake Aber is 31 m deep.")
    assert not any("0123456789" in each.value for each in rollout.entries)
    assert not any("0123456789" in each.output for each in rollout.steps)


def test_settings_are_checked():
    with pytest.raises(ValueError, match="prompts: expected"):
        AutogenSettings(prompts="theirs")
    with pytest.raises(ValueError, match="grace_seconds"):
        AutogenSettings(grace_seconds=-1)
    with pytest.raises(ValueError, match="deadline_seconds"):
        AutogenChatModel(None, "none", deadline_seconds=0)


def test_what_autogen_writes_down_is_what_the_importer_reads(tmp_path):
    """A plain team of AutoGen's: its result, its saved state and its event log are the same steps."""
    log = logging.getLogger(EVENT_LOGGER_NAME)
    handler, level = logging.FileHandler(tmp_path / "events.jsonl"), log.level

    async def main():
        script = Script()
        team = MagenticOneGroupChat([AssistantAgent("Clerk", script, tools=[look_up])], script)
        result = await team.run(task=TASK.question)
        return result, await team.save_state()

    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        result, state = asyncio.run(main())
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
        handler.close()
    (tmp_path / "result.json").write_text(result.model_dump_json())
    (tmp_path / "state.json").write_text(json.dumps(state))
    recorded = [import_autogen(tmp_path / name).tasks[0] for name in ("result.json", "state.json", "events.jsonl")]
    for each in recorded:
        (found,) = each.runs
        (item,) = found.steps
        assert each.task.question == TASK.question and found.answer.text == "31"
        assert (item.step.agent, item.step.instruction, item.step.output) == ("Clerk", "Look up the lake.", VALUE)
    assert recorded[0].runs[0].steps[0].step == recorded[2].runs[0].steps[0].step
    assert recorded[2].runs[0].steps[0].step.action == 'look_up({"lake":"Aber"})'
    assert recorded[2].runs[0].answer.seconds > 0.0
