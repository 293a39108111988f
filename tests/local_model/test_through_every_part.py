"""Teams on a language model that is computed here: every kind of call, memory, journal, kill, resume, report.

Twice: with a tiny random model, always; and with SmolLM2 where its folder is (`LTS_SMOLLM2`, or `smollm2` in the
working directory). What is asserted is shape: a model of this size knows next to nothing.
"""

import asyncio
import copy
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

import lts_jax as lts
from lts_jax.admission.rules import RULES
from lts_jax.bridge.local_model import LocalModel, LocalSettings
from lts_jax.cli import main
from lts_jax.llm.chat import Wish
from lts_jax.llm.recorded import ReplayModel
from lts_jax.llm.reply_grammars import reply_grammar
from lts_jax.llm.serving import serve_chat
from lts_jax.records import Coordinates
from lts_jax.rollouts.rollout import RolloutParts, run_rollout
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.systems.world import almanac_tasks, almanac_tools
from lts_jax.teams.settings import TeamSettings

pytest.importorskip("llguidance", reason="needs the extra local")
pytest.importorskip("tokenizers", reason="needs the extra local")
pytest.importorskip("jinja2", reason="needs the extra local")

EVERY_CALL = {"facts", "plan", "ledger", "act", "report", "summarize", "select", "answer", "aggregate"}
SMOLLM2 = Path(os.environ.get("LTS_SMOLLM2", "smollm2"))
SMALL = RolloutSettings(
    num_teams=2,
    team=TeamSettings(max_rounds=3, max_ledger_attempts=2, viewport_characters=200, report_characters=300),
    excerpt_characters=400,
)


@pytest.fixture(scope="module", params=["tiny", pytest.param("smollm2", marks=pytest.mark.slow)])
def model(request, tiny_folder):
    """A model of random weights, or the real one; with short texts, so that the test is."""
    from lts_jax.llm import reply_grammars

    if request.param == "smollm2" and not (SMOLLM2 / "model.safetensors").is_file():
        pytest.skip("no SmolLM2: its weights are fetched by a command")
    folder = tiny_folder if request.param == "tiny" else SMOLLM2
    patch = pytest.MonkeyPatch()
    for name, most in (("MAX_REASON", 12), ("MAX_INSTRUCTION", 60), ("MAX_ARGUMENT", 30)):
        patch.setattr(reply_grammars, name, most)
    yield LocalModel(LocalSettings(str(folder), temperature=1.0, max_completion_tokens=260))
    patch.undo()


class Brief:
    """The model, with words ended early, and ledgers held to going on: a small model is satisfied with anything."""

    def __init__(self, model, fail_after=10**9):
        self.model, self.name, self.left = model, model.name, fail_after

    async def complete(self, messages, *, seed, json_reply=False):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        grammar = reply_grammar(messages, json_reply=json_reply)
        if isinstance(grammar, dict) and "next_speaker" in grammar.get("properties", ()):
            grammar = copy.deepcopy(grammar)
            for name, value in (("is_request_satisfied", False), ("is_progress_being_made", True)):
                grammar["properties"][name]["properties"]["answer"] = {"const": value}
        schema = grammar if isinstance(grammar, dict) else None
        wish = Wish(max_completion_tokens=16 if grammar is None else 400, schema=schema)
        return await self.model.complete_as(messages, seed=seed, json_reply=json_reply, wish=wish)


def rollout(model, number=0, **changes):
    """One rollout of two teams that share everything."""
    parts = RolloutParts(model, almanac_tools(0), RULES["all"](), virtual_time=False, **changes)
    task = almanac_tasks(0, "test", 1)[0]
    return asyncio.run(run_rollout(task, Coordinates(0, 0, task.task_id, number), parts, SMALL))


def test_every_kind_of_call_is_made_and_read(model):
    told, seen, found = [], set(), []
    for number in range(8):
        made = rollout(Brief(model), number, on_call=told.append)
        found.append(made)
        seen |= {call.purpose for call in made.calls}
        if seen >= EVERY_CALL and any(one.pulls for one in found):
            break
    assert seen >= EVERY_CALL
    calls = [call for one in found for call in one.calls]
    assert told == calls and {call.error for call in calls} == {""}
    assert all(call.prompt_tokens > 0 and call.completion_tokens > 0 and call.seconds > 0 for call in calls)
    ledgers = [call for call in calls if call.purpose == "ledger"]
    assert all(set(json.loads(call.reply)) == set(lts.prompts.LEDGER_FIELDS) for call in ledgers if not call.is_cut)
    assert any(one.pulls for one in found) and any(step.action for one in found for step in one.steps)
    assert any(one.entries for one in found)
    for one in found:
        assert len(one.decisions) == len(one.steps) and len(one.entries) <= len(one.decisions)
        assert len(one.answers) == 2 and 0.0 <= one.reward_agg <= 1.0 and one.clock == "real"
    assert model.generator.totals.shared_tokens > 0.2 * model.generator.totals.prompt_tokens


def test_a_killed_rollout_goes_on_and_pays_nothing_twice(model, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        rollout(ReplayModel(tmp_path, Brief(model, fail_after=3), name=model.name))
    recorded = [json.loads(line) for path in tmp_path.glob("*.jsonl") for line in path.read_text().splitlines()]
    assert recorded
    counting = Brief(model)
    whole = rollout(ReplayModel(tmp_path, counting, name=model.name))
    assert 10**9 - counting.left <= len(whole.calls) - len(recorded)
    again = rollout(ReplayModel(tmp_path, None, name=model.name))
    opened = [
        {(call.team, call.purpose): call.reply for call in one.calls if call.purpose in ("facts", "plan")}
        for one in (whole, again)
    ]
    assert opened[0] == opened[1] and len(opened[0]) == 4  # in whatever order two teams were answered


def test_training_evaluation_and_report_stand_on_it(model, tmp_path):
    settings = lts.TrainSettings(num_tasks=1, num_epochs=1, tasks_per_update=1, rollout=SMALL)
    settings = replace(settings, collect=replace(settings.collect, num_rollouts=2))
    run = lts.train(tmp_path / "run", settings=settings, model=Brief(model), progress=False)
    assert len(run.metrics) == 1
    settled = {"model": Brief(model), "progress": False, "num_tasks": 1, "num_seeds": 1}
    lts.evaluate(run, policies=["m1_parallel", "all", "lts"], **settled)
    lines = run.evaluation()
    assert {name: len(found) for name, found in lines.items()} == {"m1_parallel": 1, "all": 1, "lts": 1}
    assert {call.model for found in lines.values() for call in found[0].calls} == {model.name}
    assert "<svg" in (tmp_path / "run" / "report.html").read_text()


def test_the_same_through_http(model, capsys, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    async def run():
        async with await serve_chat(Brief(model)) as server:
            words = [
                "--rollout.num-teams",
                "2",
                "--rollout.team.max-rounds",
                "1",
                "--rollout.excerpt-characters",
                "200",
            ]
            words += ["--model.name", "x", "--model.base-url", server.base_url, "--progress"]
            await asyncio.to_thread(main, ["rollout", *words])

    asyncio.run(run())
    said = capsys.readouterr()
    assert "AGGREGATED" in said.out and "real time" in said.out
    assert " facts (" in said.err and " aggregate (" in said.err
