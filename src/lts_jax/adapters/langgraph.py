"""LangGraph's graphs as teams. Needs the extra `langgraph`.

```python
def build(side):
    return create_react_agent(side.model, side.tools)

team = langgraph_team(build)  # lts train --rollout.engine mine.py:team
```

`side.model` is a chat model of LangChain's whose calls are the team's own: seeded, paid, timed and recorded. A step is
what a node adds to the messages: the results of tools, or an answer that other nodes go on from.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any

try:
    from langchain_core.language_models.chat_models import BaseChatModel
    from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
    from langchain_core.outputs import ChatGeneration, ChatResult
    from langchain_core.tools import StructuredTool
    from langchain_core.utils.function_calling import convert_to_openai_tool
except ImportError:
    raise ImportError("lts_jax.adapters.langgraph needs LangGraph: pip install 'lts-jax[langgraph]'") from None

from lts_jax.adapters.framework import (
    READ_MEMORY,
    Reads,
    Side,
    ToolText,
    call_text,
    check_reads,
    parameters_of_tool,
    read_call,
)
from lts_jax.records import Message, Task
from lts_jax.teams.own_team import OpenPorts, Team

ROLES = {"system": "system", "human": "user", "ai": "assistant", "tool": "user"}


class PortedChatModel(BaseChatModel):
    """A chat model whose calls go through a team's openings. Async alone: `ainvoke`, `astream`."""

    side: Any
    texts: tuple[ToolText, ...] = ()

    @property
    def _llm_type(self) -> str:
        return "lts_jax"

    def bind_tools(self, tools: Sequence[Any], **options: Any) -> "PortedChatModel":
        """The same model, told of these tools. How they must be chosen is left to the model."""
        found = [convert_to_openai_tool(tool)["function"] for tool in tools]
        texts = [ToolText(one["name"], one.get("description", ""), one.get("parameters", {})) for one in found]
        return PortedChatModel(side=self.side, texts=tuple(texts))

    async def _agenerate(self, messages: list[BaseMessage], stop: Any = None, *rest: Any, **options: Any) -> ChatResult:
        call = await self.side.call([_said(one) for one in messages], self.texts)
        usage = {"input_tokens": call.prompt_tokens, "output_tokens": call.completion_tokens}
        usage["total_tokens"] = sum(usage.values())
        found = read_call(call.reply, [text.name for text in self.texts])
        message = AIMessage(content=call.reply, usage_metadata=usage)
        if found is not None:
            named = {"name": found[0], "args": found[1], "id": f"call_{len(messages)}"}
            message = AIMessage(content="", tool_calls=[named], usage_metadata=usage)
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _generate(self, messages: list[BaseMessage], *rest: Any, **options: Any) -> ChatResult:
        raise NotImplementedError("a team's model is asked with `await model.ainvoke(...)`")


def langgraph_team(
    make_graph: Callable[[Side], Any], *, reads: Reads = "tool", max_turns: int = 100, answer: str = "answer"
) -> Team:
    """A team function from a function that builds a compiled graph.

    Args:
        make_graph: called once a team; its graph takes {"messages": [...]}.
        reads: how values of the shared memory are read.
        max_turns: LangGraph's limit of recursion.
        answer: key of the graph's state that holds the answer; without it the last message is.
    """
    check_reads(reads)

    async def team(task: Task, ports: OpenPorts) -> str:
        side = Side(task, ports, reads)
        side.model = PortedChatModel(side=side)
        side.tools = [_tool(side, one) for one in side.described_tools]
        said, held = "", None
        start = {"messages": [HumanMessage(task.question)]}
        config = {"recursion_limit": max_turns}
        async for update in make_graph(side).astream(start, config, stream_mode="updates"):
            for node, change in update.items():
                if not isinstance(change, dict):
                    continue
                held = await _report(ports, node, change, held)
                said = str(change.get(answer) or (held[1] if held else said))
        return said

    return team


async def _report(ports: OpenPorts, node: str, change: dict[str, Any], held: Any) -> tuple[str, str] | None:
    """Report what a node did; gives (node, text) of words that are a step only if something follows them."""
    messages = change.get("messages") or []
    messages = messages if isinstance(messages, list) else [messages]
    asked = [call for one in messages for call in getattr(one, "tool_calls", ())]
    if held is not None:
        await ports.finish_step(held[1], agent=held[0])
    results = [one for one in messages if isinstance(one, ToolMessage) and one.name != READ_MEMORY.name]
    if results:
        actions = [call_text(str(one.name), json.dumps(getattr(one, "artifact", None) or {})) for one in results]
        failed = all(one.status == "error" for one in results)
        output = "\n".join(_text(one) for one in results)
        await ports.finish_step(output, agent=node, action="\n".join(actions), failed=failed)
    said = [_text(one) for one in messages if isinstance(one, AIMessage) and not asked]
    return (node, said[-1]) if said and said[-1] else None


def _tool(side: Side, described: Any) -> StructuredTool:
    async def use(**arguments: Any) -> tuple[str, dict[str, Any]]:
        return await side.use_tool(described.name, arguments), arguments

    return StructuredTool(
        name=described.name,
        description=described.description,
        args_schema=parameters_of_tool(described),
        coroutine=use,
        response_format="content_and_artifact",
    )


def _said(message: BaseMessage) -> Message:
    calls = [call_text(call["name"], call["args"]) for call in getattr(message, "tool_calls", ())]
    text = "\n".join([*([_text(message)] if _text(message) else []), *calls])
    return Message(ROLES.get(message.type, "user"), text, "" if message.type == "human" else message.name or "")


def _text(message: BaseMessage) -> str:
    content = message.content
    if isinstance(content, str):
        return content
    return "\n".join(part if isinstance(part, str) else str(part.get("text", "")) for part in content)
