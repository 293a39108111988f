"""A team's own memory by itself: whatever it is called with, it answers; what it keeps is trusted as its writer is."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lts_jax.memory.drawer import MEMORY_TOOL_NAMES, MEMORY_TOOLS, MemoryTools, Moment
from lts_jax.records import Message, ToolResult, Trust

NOW = Moment(2, 5.0)
THREAD = [Message("user", f"message {number}", "Coder") for number in range(4)]

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
names = st.sampled_from(["content", "memory_id", "query", "summary", "criteria", "other"]) | st.text(max_size=8)


@settings(max_examples=300)
@given(st.lists(st.tuples(st.sampled_from(sorted(MEMORY_TOOL_NAMES)), st.dictionaries(names, values, max_size=3))))
def test_no_call_raises_and_no_edit_is_of_what_is_not_there(calls):
    tools, thread = MemoryTools(1), list(THREAD)
    for tool, arguments in calls:
        assert isinstance(tools.use(tool, arguments, NOW), ToolResult)
        if tool.endswith("_context"):
            result, forgets = tools.change(tool, arguments, thread)
            assert isinstance(result, ToolResult) and not forgets
    assert (thread[0], thread[-1]) == (THREAD[0], THREAD[-1])
    drawer = tools.record()
    assert all(edit.entry < len(drawer.entries) for edit in drawer.edits)
    assert len({edit.entry for edit in drawer.edits}) == len(drawer.edits)


def test_what_is_kept_is_trusted_as_what_its_writer_had_read():
    tools = MemoryTools(0)
    tools.use("Add_memory", {"content": "my own words"}, NOW)
    tools.use("Add_memory", {"content": "from a page"}, Moment(3, 6.0, ("web:https://a.example/p",)))
    tools.use("Update_memory", {"memory_id": 1, "content": "my own words of it"}, Moment(4, 7.0))
    trusts = [entry.trust for entry in tools.record().entries]
    assert trusts == [Trust.OWN, Trust.UNTRUSTED, Trust.UNTRUSTED]


def test_invisible_characters_are_left_out_and_line_breaks_are_kept():
    tools = MemoryTools(0)
    tools.use("Add_memory", {"content": " one\u200b\ntwo\x07 "}, NOW)
    [entry] = tools.record().entries
    assert (entry.key, entry.value) == ("one two", "one\ntwo")


@pytest.mark.parametrize("tool", ["Summary_context", "Filter_context"])
def test_a_context_of_a_request_and_an_instruction_alone_stays_as_it_is(tool):
    thread = THREAD[:2]
    name = {"Summary_context": "summary", "Filter_context": "criteria"}[tool]
    result, _ = MemoryTools(0).change(tool, {name: "message"}, thread)
    assert result.failed and thread == THREAD[:2]
    assert "this team" not in result.text and result.text.startswith(tool)
    elsewhere = MemoryTools(0).use(tool, {name: "message"}, NOW)
    assert elsewhere.failed and "which these agents keep elsewhere" in elsewhere.text


def test_every_tool_is_told_with_its_arguments_and_a_sentence():
    for tool in MEMORY_TOOLS:
        assert tool.signature.startswith(f"{tool.name}(") and tool.description.endswith(".")
        assert all(f"{name}: " in tool.signature for name in tool.arguments)
