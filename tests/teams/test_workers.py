"""The four workers: what they ask, what they do with what comes back."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lts_jax import prompts
from lts_jax.llm.chat import ModelFailure
from lts_jax.records import Message, ToolResult
from lts_jax.teams.settings import TeamSettings
from lts_jax.teams.workers import NO_CODE, WorkerReply, last_code, parse_tool_call, run_worker

VISIT = ("visit_url", {"url": "http://a", "page": 2})
LEDGER = Message("user", "Task ledger.", "Orchestrator")
ORDER = Message("assistant", "WebSurfer: Find the price.", "Orchestrator")
PAGE = Message("user", "```python\nsteal()\n```", "WebSurfer")
OLD = Message("user", "An old reply.", "FileSurfer")


def work(bench, agent, thread=(LEDGER, OLD, ORDER), **changed):
    return asyncio.run(run_worker(agent, list(thread), bench.ports(), TeamSettings(**changed)))


def test_a_surfer_acts_on_the_thread_and_reports_on_the_result(kit):
    model = kit.ScriptedModel(report=["It is 12.50."])
    reply = work(kit.Bench(model), "WebSurfer")
    text = "Harrow Lane Pool: adult day ticket 12.50"
    action = 'web_search {"query": "pool"}'
    assert reply == WorkerReply(action, f"It is 12.50.\n\n{text}")
    system = prompts.agent_system("WebSurfer")
    assert model.requests == [
        ("act", (system, LEDGER, OLD, ORDER, prompts.act_request("WebSurfer"))),
        ("report", (system, LEDGER, ORDER, prompts.report_request(action, text))),
    ]


def test_a_long_result_is_cut_for_the_output_and_for_the_report(kit):
    model = kit.ScriptedModel(report=["R"])
    bench = kit.Bench(model, tools={"web_search": ToolResult("abcdefghij")})
    assert work(bench, "WebSurfer", viewport_characters=3, report_characters=5).output == "R\n\nabc\n[cut]"
    assert model.seen("report")[0][-1].endswith("Result:\nabcde\n[cut]")


def test_a_failed_tool_is_an_observation_without_a_report(kit):
    model = kit.ScriptedModel()
    bench = kit.Bench(model, tools={"web_search": ToolResult("No results found for: pool", failed=True)})
    reply = work(bench, "WebSurfer")
    assert (reply.failed, reply.output) == (True, "web_search failed.\n\nNo results found for: pool")
    assert model.purposes() == ["act"]


def test_a_failed_report_leaves_the_result(kit):
    reply = work(kit.Bench(kit.ScriptedModel(report=[ModelFailure("timeout")])), "WebSurfer")
    assert (reply.failed, reply.output) == (False, "Harrow Lane Pool: adult day ticket 12.50")


def test_nothing_at_all_is_a_failed_step(kit):
    bench = kit.Bench(kit.ScriptedModel(report=[""]), tools={"web_search": ToolResult("")})
    assert work(bench, "WebSurfer") == WorkerReply('web_search {"query": "pool"}', "", failed=True)


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ("", "WebSurfer could not act: the reply was empty."),
        ("I will search.", "WebSurfer could not act: the reply holds no tool call."),
        ('{"tool": "open_file", "arguments": {"name": "a"}}', "WebSurfer could not act: it has no tool 'open_file'"),
        ('{"tool": "visit_url", "arguments": 3}', "WebSurfer could not act: the arguments of visit_url are no"),
        (ModelFailure("timeout after 60 s"), "WebSurfer could not act: timeout after 60 s"),
    ],
)  # fmt: skip
def test_an_unreadable_action_is_a_failed_step(kit, reply, said):
    bench = kit.Bench(kit.ScriptedModel(act=[reply]))
    done = work(bench, "WebSurfer")
    assert (done.failed, done.action, done.output[: len(said)]) == (True, "", said)
    assert bench.tool_calls == []


@pytest.mark.parametrize(
    "text",
    [
        '{"tool": "visit_url", "arguments": {"url": "http://a", "page": 2}}',
        'I go there.\n```json\n{"tool": "visit_url", "arguments": {"url": "http://a", "page": 2}}\n```',
        "{'tool': 'visit_url', 'arguments': {'url': 'http://a', 'page': 2}}",
        '{"name": "visit_url", "parameters": {"url": "http://a", "page": 2}}',
        '{"function": {"name": "visit_url", "arguments": "{\\"url\\": \\"http://a\\", \\"page\\": 2}"}}',
        '{"tool": "visit_url", "url": "http://a", "page": 2}',
    ],
)
def test_spellings_of_a_tool_call(text):
    assert parse_tool_call(text, prompts.TOOLS["WebSurfer"]) == VISIT


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet='{}[]":,toolargumentsvisit_url\\ \x00\ud800', max_size=60))
def test_no_action_text_raises(text):
    assert isinstance(parse_tool_call(text, prompts.TOOLS["WebSurfer"]), str | tuple)


def test_the_file_surfer_has_its_own_tools(kit):
    bench = kit.Bench(
        kit.ScriptedModel(act=['{"tool": "list_files"}'], report=["Two files."]),
        tools={"list_files": ToolResult("a.csv\nb.json")},
    )
    assert work(bench, "FileSurfer") == WorkerReply("list_files {}", "Two files.\n\na.csv\nb.json")


@pytest.mark.parametrize(
    ("code", "reply"),
    [
        ("```python\nprint(1)\n```", WorkerReply("", "```python\nprint(1)\n```")),
        ("  ", WorkerReply("", "  ", failed=True)),
        (ModelFailure("timeout"), WorkerReply("", "Coder could not answer: timeout", failed=True)),
        ("a\x00b\ud800", WorkerReply("", "ab\ufffd")),
    ],
)
def test_the_coder_makes_one_call(kit, code, reply):
    model = kit.ScriptedModel(code=[code])
    assert work(kit.Bench(model), "Coder") == reply
    assert model.requests == [
        ("code", (prompts.agent_system("Coder"), LEDGER, OLD, ORDER, prompts.code_request())),
    ]


def coder(text):
    return Message("user", text, "Coder")


@pytest.mark.parametrize(
    ("thread", "code"),
    [
        ([coder("```python\nprint(1)\n```\n```py\nprint(2)\n```")], "print(2)"),
        ([coder("```python\nprint(1)\n```"), OLD, coder("Let us wait.")], "print(1)"),
        ([coder("```Python\r\nprint(1)")], "print(1)"),
        ([coder("```sh\nls\n```"), coder("print(1)")], ""),
        ([PAGE, prompts.value_message(0, "k", "```py\nsteal()\n```")], ""),
        ([], ""),
    ],
)  # fmt: skip
def test_the_terminal_runs_what_the_coder_wrote_last_and_nothing_else(kit, thread, code):
    assert last_code(thread) == code
    bench = kit.Bench(kit.ScriptedModel(), tools={"run_python": ToolResult("ZeroDivisionError", failed=True)})
    reply = work(bench, "ComputerTerminal", thread)
    assert bench.model.requests == []
    if code:
        assert bench.tool_calls == [("run_python", {"code": code})]
        assert reply == WorkerReply(code, "ZeroDivisionError", failed=True)
    else:
        assert bench.tool_calls == []
        assert reply == WorkerReply("", NO_CODE, failed=True)
