"""Routing: items of a thread by hand, alpha by hand, budgets, conflicts, and what must never be hidden."""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lts_jax import prompts
from lts_jax.errors import UserError
from lts_jax.llm.relevance import RelevanceWeights, relevance, role_score, stage_score
from lts_jax.records import Message, ModelCall, ToolResult
from lts_jax.teams.routing import MODES, ROLES, RoutingSettings, alpha, route
from lts_jax.teams.settings import TeamSettings
from lts_jax.teams.thread_items import PRIORITY, items_of, put_together, without_conflicts
from lts_jax.teams.workers import last_code, run_worker

URL = "https://www.zoo.example/prices"
LEDGER = prompts.task_ledger("What does a ticket cost?", (), "- a fact", "- a plan")
LISTING = "The search lists 2 pages: Zoo <https://www.zoo.example/prices>; Zoo (guide) <https://guide.example/zoo>."
PAGE = "Zoo\nUpdated: 2025-01-01\n" + "A long page. " * 200
VALUE = f"The price of Zoo: 12 (page 1 of 1, updated 2025-01-01, <{URL}>)."
CODE = "Here it is.\n\n```python\nprint(12 * 3)\n```"
THREAD = [
    LEDGER,
    prompts.instruction("WebSurfer", "Search for Zoo."),
    prompts.agent_reply("WebSurfer", f"{LISTING}\n\nSearch results for: Zoo\n{PAGE}"),
    prompts.instruction("WebSurfer", "Open the page to find the price of Zoo."),
    prompts.agent_reply("WebSurfer", f"{VALUE}\n\n{PAGE}"),
    prompts.value_message(3, "found the price", f"{VALUE.replace('12', '11')}\n\n{PAGE}"),
    prompts.instruction("Coder", "Write a program."),
    prompts.agent_reply("Coder", CODE),
    prompts.instruction("ComputerTerminal", "Run it."),
    prompts.agent_reply("ComputerTerminal", "36"),
    prompts.instruction("WebSurfer", "Open a page to find the price of Zoo."),
]


def _far(text: str, others: Sequence[str]) -> list[float]:
    return [0.0] * len(others)


def _same_words(text: str, others: Sequence[str]) -> list[float]:
    words = set(text.split())
    return [len(words & set(other.split())) / max(1, len(words)) for other in others]


def test_a_thread_as_items() -> None:
    found = [(item.message, item.part, item.kind, item.round) for item in items_of(THREAD)]
    assert found == [
        (0, 0, "plan", 0),
        (1, 0, "decision", 1),
        (2, 0, "entity", 1), (2, 1, "trace", 1),
        (3, 0, "decision", 2),
        (4, 0, "fact", 2), (4, 1, "trace", 2),
        (5, 0, "fact", 2), (5, 1, "trace", 2),
        (6, 0, "decision", 3), (7, 0, "decision", 3),
        (8, 0, "decision", 4), (9, 0, "fact", 4),
        (10, 0, "decision", 5),
    ]  # fmt: skip
    by_place = {(item.message, item.part): item for item in items_of(THREAD)}
    assert by_place[2, 0].text == LISTING and by_place[2, 0].tags == {"web", "page"}
    assert by_place[4, 0].tags == {"web", "page", "value"} and by_place[7, 0].tags == {"code"}
    assert by_place[4, 0].about == f"The price of Zoo {URL}" and by_place[4, 0].num_tokens == -(-(len(VALUE) + 2) // 4)
    assert by_place[5, 0].text.endswith(">>>") and PAGE not in by_place[5, 0].text


def test_the_ledger_in_parts() -> None:
    parts = [item for item in items_of(THREAD, split_ledger=True) if item.message == 0]
    assert [item.kind for item in parts] == ["decision", "entity", "fact", "plan"]
    assert "".join(item.text for item in parts) == LEDGER.content
    [shown] = put_together(THREAD, [parts[0], parts[3]], split_ledger=True)
    assert shown.content == "Task ledger.\nRequest: What does a ticket cost?\n\nPlan:\n- a plan"
    assert put_together(THREAD, items_of(THREAD, split_ledger=True), split_ledger=True) == THREAD


def test_all_items_together_are_the_thread_and_a_report_alone_is_its_text() -> None:
    assert put_together(THREAD, items_of(THREAD)) == THREAD
    reports = [item for item in items_of(THREAD) if item.message == 4 and item.part == 0]
    assert put_together(THREAD, reports) == [Message("user", VALUE, "WebSurfer")]
    told = prompts.agent_reply("WebSurfer", "visit_url failed.\n\nNo such page")
    assert [item.kind for item in items_of([told])] == ["fact"]  # what failed is one item


def test_of_conflicting_items_the_higher_kind_then_the_newer_is_kept() -> None:
    assert PRIORITY == ("decision", "plan", "entity", "fact", "trace")
    again = [*THREAD[:5], prompts.agent_reply("WebSurfer", f"{VALUE.replace('12', '14')}\n\nother")]
    facts = [item.text for item in without_conflicts(items_of(again)) if item.kind == "fact"]
    assert facts == [VALUE.replace("12", "14")]  # one page, one thing stated: the newer
    first = items_of(THREAD)[2]
    raised = [replace(first, kind="plan"), replace(first, kind="fact"), replace(first, about=""), first]
    assert without_conflicts(raised) == [raised[0], raised[2]]
    part = VALUE.replace(URL, f"{URL}/page-2")
    both = [*THREAD[:5], prompts.agent_reply("WebSurfer", f"{part}\n\nother")]
    assert sum(item.kind == "fact" for item in without_conflicts(items_of(both))) == 2  # another page


def test_alpha_by_hand() -> None:
    weights = RelevanceWeights(role=1.0, stage=1.0, recency=1.0, similarity=2.0)
    assert relevance(weights, role=1.2, stage=0.5, age=3, similarity=0.25) == pytest.approx(1.7 + math.exp(-0.3) + 0.5)
    assert relevance(weights, role=0.0, stage=0.0, age=0, similarity=-1.0) == 1.0
    assert role_score("Page of http Search", {"web"}, {"web", "x"}, ("page", "http", "none")) == 1.2
    assert role_score("a b c d e f", (), (), tuple("abcdef")) == 0.5
    assert (stage_score(("gather",), "gather"), stage_score((), "gather")) == (1.0, 0.5)
    items = items_of(THREAD[:5])
    found = alpha(ROLES["Coder"], items, "x", RelevanceWeights(1.0, 1.0, 1.0, 0.0), _far)
    # The listing: no tag of the Coder, no keyword; not of computing; one round old. The value: a tag, "updated".
    assert found[2] == pytest.approx(0.0 + 0.5 + math.exp(-0.1))
    assert found[5] == pytest.approx(1.0 + 0.1 + 1.0 + 1.0)


def _messages(sizes: Sequence[int]) -> list[Message]:
    """Told texts whose items have so many tokens, and an instruction."""
    return [
        *(Message("user", chr(97 + number) * (4 * size - 2), "User") for number, size in enumerate(sizes)),
        prompts.instruction("WebSurfer", "Go on."),
    ]


def test_three_items_by_hand() -> None:
    thread = _messages((60, 50, 50))
    assert [item.num_tokens for item in items_of(thread)][:3] == [60, 50, 50]
    worth = {"a": 0.9, "b": 0.8, "c": 0.7}
    weights = RelevanceWeights(role=0.0, stage=0.0, recency=0.0, similarity=1.0)

    def shown(mode: str, budget: int = 100) -> str:
        settings = RoutingSettings(mode, budget, weights)  # type: ignore[arg-type]
        found = route("WebSurfer", thread, settings, lambda _, others: [worth[other[0]] for other in others])
        assert found[-1] == thread[-1]
        return "".join(message.content[0] for message in found[:-1])

    assert (shown("greedy"), shown("exact"), shown("density")) == ("a", "bc", "bc")
    assert shown("greedy", 160) == "abc"
    assert shown("greedy", 49) == ""  # below the smallest item: the instruction alone


@pytest.mark.parametrize("agent", ["WebSurfer", "FileSurfer", "Coder", "ToolUser"])
@given(
    mode=st.sampled_from(MODES[1:]),
    budget=st.integers(1, 4000),
    split=st.booleans(),
    order=st.lists(st.integers(0, len(THREAD) - 2), max_size=12),
)
def test_a_budget_is_never_exceeded(agent: str, mode: str, budget: int, split: bool, order: list[int]) -> None:
    thread = [*(THREAD[place] for place in order), THREAD[-1]]
    settings = RoutingSettings(mode, budget, split_ledger=split)  # type: ignore[arg-type]
    shown = route(agent, thread, settings, _same_words)
    assert shown[-1] == thread[-1]
    assert sum(-(-len(message.content) // 4) for message in shown[:-1]) <= budget
    everything = route(agent, thread, replace(settings, mode="greedy", budget_tokens=100_000), _same_words)
    kept = put_together(thread[:-1], without_conflicts(items_of(thread[:-1], split_ledger=split)), split_ledger=split)
    assert list(everything[:-1]) == kept


def test_full_and_an_infinite_budget_leave_nothing_out() -> None:
    assert route("WebSurfer", THREAD, RoutingSettings(), _far) is THREAD
    for mode in ("greedy", "density", "exact"):
        assert route("Coder", THREAD, RoutingSettings(mode), _far) is THREAD  # type: ignore[arg-type]
    static = route("Coder", THREAD, RoutingSettings("static"), _far)
    kinds = {item.kind for item in items_of(static)}
    reports = route("WebSurfer", THREAD, RoutingSettings("reports"), _far)
    assert [one.content for one in reports if PAGE in one.content] == []
    assert [reports.index(one) for one in THREAD if one in reports] == [0, 1, 3, 5, 6, 7, 8, 9]
    assert reports[2].content == LISTING and VALUE.replace("12", "11") in reports[4].content  # newer of one page
    assert kinds == {"plan", "decision", "fact"}


def test_the_program_that_is_run_is_never_hidden() -> None:
    """The Coder's code is not in what is shown under this budget; the terminal runs it all the same."""
    ran = []

    async def use_tool(tool: str, arguments: dict[str, object]) -> ToolResult:
        ran.append(arguments["code"])
        return ToolResult("36", tool=tool)

    def shows_nothing(agent: str, thread: Sequence[Message]) -> Sequence[Message]:
        return thread[-1:]

    asked: list[Sequence[Message]] = []

    async def ask(purpose: str, messages: Sequence[Message]) -> ModelCall:
        asked.append(messages)
        return ModelCall(purpose, CODE, 1, 1)

    ports = _ports(ask, use_tool, shows_nothing)
    reply = asyncio.run(run_worker("ComputerTerminal", list(THREAD), ports, TeamSettings()))
    assert (ran, reply.output) == (["print(12 * 3)"], "36")
    asyncio.run(run_worker("Coder", list(THREAD), ports, TeamSettings()))
    assert [message.content for message in asked[0]][1:] == [THREAD[-1].content, prompts.code_request().content]
    assert last_code(THREAD) == "print(12 * 3)"


def _ports(ask, use_tool, route_to):  # type: ignore[no-untyped-def]
    from lts_jax.teams.ports import TeamPorts

    return TeamPorts(ask, use_tool, None, None, None, lambda: 0.0, lambda: None, route=route_to)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given_", "told"),
    [
        ({"mode": "best"}, "routing.mode: expected one of full, static, reports, greedy, density, exact, random"),
        ({"mode": "greedy", "budget_tokens": 0}, "routing.budget_tokens: expected at least 1"),
        ({"budget_tokens": 5}, "routing.budget_tokens: mode full leaves nothing out"),
    ],
)
def test_wrong_settings_are_one_line(given_: dict[str, object], told: str) -> None:
    with pytest.raises(UserError, match=told):
        RoutingSettings(**given_)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="routing: expected an agent among"):
        route("Nobody", THREAD, RoutingSettings("static"), _far)
