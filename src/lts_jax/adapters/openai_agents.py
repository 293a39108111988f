"""Agents of the OpenAI Agents SDK as teams. Needs the extra `openai-agents`.

```python
def build(side):
    return Agent("Researcher", instructions="Answer in few words.", model=side.model, tools=side.tools)

team = agents_team(build)  # lts train --rollout.engine mine.py:team
```

`side.model` asks through the team's openings: calls are seeded, paid, timed and recorded. A step is a tool call with
its result, told by the SDK's run hooks. Handoffs are told to the model as tools; nothing is traced to anywhere.
"""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

try:
    from agents import (
        Agent,
        FunctionTool,
        Model,
        ModelResponse,
        RunConfig,
        RunHooks,
        Runner,
        Usage,
    )
    from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText
except ImportError:
    raise ImportError("lts_jax.adapters.openai_agents needs the SDK: pip install 'lts-jax[openai-agents]'") from None

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


class PortedModel(Model):
    """A model of the SDK whose calls go through a team's openings."""

    def __init__(self, side: Side) -> None:
        self._side, self._num_calls = side, 0

    async def get_response(
        self,
        system_instructions: str | None,
        input: Any,
        model_settings: Any,
        tools: list[Any],
        output_schema: Any,
        handoffs: list[Any],
        tracing: Any,
        **rest: Any,
    ) -> ModelResponse:
        """One call of the model. Raises `CallFailed`."""
        texts = [ToolText(one.name, one.description, one.params_json_schema) for one in tools if hasattr(one, "name")]
        texts += [ToolText(one.tool_name, one.tool_description, one.input_json_schema) for one in handoffs]
        head = [Message("system", system_instructions)] if system_instructions else []
        items = [Message("user", input)] if isinstance(input, str) else [_said(one) for one in input]
        call = await self._side.call([*head, *items], texts)
        self._num_calls += 1
        name = f"call_{self._num_calls}"
        found = read_call(call.reply, [text.name for text in texts])
        usage = Usage(1, call.prompt_tokens, output_tokens=call.completion_tokens)
        usage.total_tokens = call.prompt_tokens + call.completion_tokens
        if found is not None:
            told = ResponseFunctionToolCall(
                type="function_call", call_id=name, name=found[0], arguments=json.dumps(found[1])
            )
            return ModelResponse([told], usage, None)
        words = ResponseOutputText(type="output_text", text=call.reply, annotations=[])
        said = ResponseOutputMessage(id=name, type="message", role="assistant", status="completed", content=[words])
        return ModelResponse([said], usage, None)

    def stream_response(self, *arguments: Any, **named: Any) -> AsyncIterator[Any]:
        """Nothing is streamed: `Runner.run` asks for whole replies."""
        raise NotImplementedError("a team's model replies whole; use Runner.run")


class StepHooks(RunHooks[Any]):
    """Reports every tool call with its result as a step."""

    def __init__(self, ports: OpenPorts) -> None:
        self._ports = ports

    async def on_tool_end(self, context: Any, agent: Any, tool: Any, result: object) -> None:
        """A tool has returned."""
        if tool.name != READ_MEMORY.name:
            action = call_text(tool.name, getattr(context, "tool_arguments", "") or "{}")
            await self._ports.finish_step(str(result), agent=agent.name, action=action)


def agents_team(make_agent: Callable[[Side], Agent[Any]], *, reads: Reads = "tool", max_turns: int = 100) -> Team:
    """A team function from a function that makes the agent to begin with.

    Args:
        make_agent: called once a team; its agents should be given `side.model`.
        reads: how values of the shared memory are read.
        max_turns: the SDK's limit.
    """
    check_reads(reads)

    async def team(task: Task, ports: OpenPorts) -> str:
        side = Side(task, ports, reads)
        side.model = PortedModel(side)
        side.tools = [_tool(side, one) for one in side.described_tools]
        config = RunConfig(model=side.model, tracing_disabled=True)
        result = await Runner.run(
            make_agent(side), task.question, max_turns=max_turns, hooks=StepHooks(ports), run_config=config
        )
        return str(result.final_output)

    return team


def _tool(side: Side, described: OwnTool) -> FunctionTool:
    async def use(context: Any, arguments: str) -> str:
        return await side.use_tool(described.name, json.loads(arguments or "{}"))

    return FunctionTool(
        name=described.name,
        description=described.description,
        params_json_schema=parameters_of_tool(described),
        on_invoke_tool=use,
        strict_json_schema=False,
    )


def _said(item: Any) -> Message:
    """One input item of the Responses API as a message."""
    if item.get("type") == "function_call":
        return Message("assistant", call_text(item["name"], item["arguments"]))
    if item.get("type") == "function_call_output":
        return Message("user", str(item["output"]))
    content = item.get("content", "")
    text = content if isinstance(content, str) else "\n".join(str(part.get("text", "")) for part in content)
    return Message(str(item.get("role", "user")).replace("developer", "system"), text)
