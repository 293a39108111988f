"""Agents of smolagents as teams. Needs the extra `smolagents`.

```python
def build(side):
    return ToolCallingAgent(tools=side.tools, model=side.model)

team = smolagents_team(build)  # lts train --rollout.engine mine.py:team
```

smolagents is synchronous: a team's agent runs in a thread of its own, and what it asks goes back to the rollout's event
loop, so that calls are seeded, paid, timed and recorded. A step is an `ActionStep`. A `CodeAgent` runs the model's
programs in this process by smolagents' own interpreter: it is as safe as that is.
"""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

try:
    from smolagents import ActionStep, ChatMessage, FinalAnswerStep, MessageRole, Model, Tool
    from smolagents.models import ChatMessageToolCall, ChatMessageToolCallFunction, TokenUsage
except ImportError:
    raise ImportError("lts_jax.adapters.smolagents needs smolagents: pip install 'lts-jax[smolagents]'") from None

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
from lts_jax.records import Message, OwnTool, Task
from lts_jax.teams.own_team import OpenPorts, Team

ROLES = {"system": "system", "assistant": "assistant", "tool-call": "assistant"}


class PortedModel(Model):
    """A model of smolagents' whose calls go through a team's openings, from a thread."""

    def __init__(self, side: Side, wait: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        super().__init__(model_id="lts_jax")
        self._side, self._wait = side, wait

    def generate(
        self,
        messages: list[Any],
        stop_sequences: list[str] | None = None,
        response_format: Any = None,
        tools_to_call_from: list[Any] | None = None,
        **rest: Any,
    ) -> ChatMessage:
        """One call of the model. Raises `CallFailed`."""
        tools = tools_to_call_from or []
        texts = [ToolText(tool.name, tool.description, tool.inputs) for tool in tools]
        call = self._wait(self._side.call([_said(one) for one in messages], texts))
        reply = call.reply
        for stop in stop_sequences or ():
            reply = reply.partition(stop)[0]
        usage = TokenUsage(call.prompt_tokens, call.completion_tokens)
        found = read_call(reply, [tool.name for tool in tools])
        if found is None:
            return ChatMessage(role=MessageRole.ASSISTANT, content=reply, token_usage=usage)
        function = ChatMessageToolCallFunction(name=found[0], arguments=found[1])
        calls = [ChatMessageToolCall(id=f"call_{len(messages)}", type="function", function=function)]
        return ChatMessage(role=MessageRole.ASSISTANT, content=reply, tool_calls=calls, token_usage=usage)


def smolagents_team(make_agent: Callable[[Side], Any], *, reads: Reads = "tool", max_steps: int | None = None) -> Team:
    """A team function from a function that makes an agent.

    Args:
        make_agent: called once a team, in its thread.
        reads: how values of the shared memory are read.
        max_steps: in place of the agent's own limit.
    """
    check_reads(reads)

    async def team(task: Task, ports: OpenPorts) -> str:
        wait, side = partial(_wait, asyncio.get_running_loop()), Side(task, ports, reads)
        side.model = PortedModel(side, wait)
        side.tools = [_tool(side, wait, one) for one in side.described_tools]
        return await asyncio.to_thread(_work, make_agent, side, wait, max_steps)

    return team


def _wait(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any]) -> Any:
    """The result of what is asked of the rollout's event loop, from a thread."""
    return asyncio.run_coroutine_threadsafe(work, loop).result()


def _work(make_agent: Callable[[Side], Any], side: Side, wait: Any, max_steps: int | None) -> str:
    """The whole run of an agent, in a thread."""
    agent = make_agent(side)
    if getattr(agent, "logger", None) is not None:
        agent.logger.level = -1  # K agents at once would write over each other
    for step in agent.run(side.task.question, stream=True, max_steps=max_steps):
        if isinstance(step, FinalAnswerStep):
            return str(step.output)
        if not isinstance(step, ActionStep) or step.is_final_answer:
            continue
        calls = [call for call in step.tool_calls or () if call.name != READ_MEMORY.name]
        if calls or not step.tool_calls:
            output = "\n".join(str(one) for one in (step.observations, step.error) if one)
            action = "\n".join(call_text(call.name, call.arguments) for call in calls)
            agent_name = getattr(agent, "name", None) or type(agent).__name__
            wait(side.ports.finish_step(output, agent=agent_name, action=action, failed=step.error is not None))
    return ""


def _tool(side: Side, wait: Any, described: OwnTool) -> Tool:
    schema = parameters_of_tool(described)
    needed = set(schema["required"])
    inputs = {
        name: {**kind, "description": name, **({} if name in needed else {"nullable": True})}
        for name, kind in schema["properties"].items()
    }

    def forward(self: Any, *given: Any, **arguments: Any) -> str:
        named = dict(zip(inputs, given, strict=False)) | arguments
        return wait(side.use_tool(described.name, {key: value for key, value in named.items() if value is not None}))

    own = {"name": described.name, "description": described.description, "inputs": inputs, "output_type": "string"}
    return type(described.name, (Tool,), {**own, "forward": forward, "skip_forward_signature_validation": True})()


def _said(message: Any) -> Message:
    role, content = (
        (message.get("role"), message.get("content")) if isinstance(message, dict) else (message.role, message.content)
    )
    parts = content if isinstance(content, list) else [{"text": content or ""}]
    text = "\n".join(str(part.get("text", "")) for part in parts)
    return Message(ROLES.get(str(getattr(role, "value", role)), "user"), text)
