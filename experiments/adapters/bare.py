"""The same agent in each framework, bare with a model that costs nothing, and as a team."""

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from lts_jax.llm.chat import Completion
from lts_jax.records import Message
from lts_jax.teams.own_team import Team

CALL = {"tool": "web_search", "arguments": {"query": "cost"}}
QUESTION = "What does an adapter cost?"


class Talking:
    """Calls a tool so many times, then answers."""

    name = "talking"

    def __init__(self, num_steps: int, last: str = "little") -> None:
        self.left, self.last = num_steps, last

    def reply(self) -> str:
        """The next reply."""
        self.left -= 1
        return json.dumps(CALL) if self.left >= 0 else self.last

    async def complete(self, messages: Sequence[Message], *, seed: int, json_reply: bool = False) -> Completion:
        """The next reply, as a completion."""
        return Completion(self.reply() if self.left > 0 or "To use a tool" in str(messages) else "little", 1, 1)


@dataclass(frozen=True)
class Framework:
    """One framework: `bare` runs its agent for so many steps; `team` is the adapter's."""

    name: str
    package: str
    bare: Callable[[int], Awaitable[Any]]
    team: Callable[[], Team]

    def is_there(self) -> bool:
        """Whether it is installed."""
        return find_spec(self.package) is not None


async def langgraph_bare(num_steps: int) -> None:
    """LangGraph's agent with a chat model of LangChain's."""
    from langchain_core.language_models.chat_models import BaseChatModel
    from langchain_core.messages import AIMessage
    from langchain_core.outputs import ChatGeneration, ChatResult
    from langgraph.prebuilt import create_react_agent

    model = Talking(num_steps)

    class Bare(BaseChatModel):
        @property
        def _llm_type(self) -> str:
            return "bare"

        def bind_tools(self, tools: Any, **options: Any) -> Any:
            return self

        def _generate(self, messages: Any, *rest: Any, **options: Any) -> ChatResult:
            call = {"name": "web_search", "args": CALL["arguments"], "id": str(len(messages))}
            told = AIMessage(content="", tool_calls=[call]) if model.reply() != "little" else AIMessage("little")
            return ChatResult(generations=[ChatGeneration(message=told)])

        async def _agenerate(self, messages: Any, *rest: Any, **options: Any) -> ChatResult:
            return self._generate(messages)

    async def web_search(query: str) -> str:
        """Search."""
        return "a result"

    agent = create_react_agent(Bare(), [web_search])
    async for _ in agent.astream({"messages": [("user", QUESTION)]}, {"recursion_limit": 1000}, stream_mode="updates"):
        pass


def langgraph_adapted() -> Team:
    """The same as a team."""
    from langgraph.prebuilt import create_react_agent

    from lts_jax.adapters.langgraph import langgraph_team

    return langgraph_team(lambda side: create_react_agent(side.model, side.tools[:1]), max_turns=1000)


async def agents_bare(num_steps: int) -> None:
    """An agent of the OpenAI Agents SDK with a model that says the same."""
    from agents import Agent, Model, ModelResponse, RunConfig, Runner, Usage, function_tool
    from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText

    model = Talking(num_steps)

    class Bare(Model):
        async def get_response(self, *arguments: Any, **named: Any) -> ModelResponse:
            if model.reply() != "little":
                given, name = json.dumps(CALL["arguments"]), f"c{model.left}"
                call = ResponseFunctionToolCall(type="function_call", call_id=name, name="web_search", arguments=given)
                return ModelResponse([call], Usage(), None)
            text = ResponseOutputText(type="output_text", text="little", annotations=[])
            said = ResponseOutputMessage(id="m", type="message", role="assistant", status="completed", content=[text])
            return ModelResponse([said], Usage(), None)

        def stream_response(self, *arguments: Any, **named: Any) -> Any:
            raise NotImplementedError

    @function_tool
    async def web_search(query: str) -> str:
        """Search."""
        return "a result"

    agent = Agent("A", model=Bare(), tools=[web_search])
    await Runner.run(agent, QUESTION, max_turns=1000, run_config=RunConfig(tracing_disabled=True))


def agents_adapted() -> Team:
    """The same as a team."""
    from agents import Agent

    from lts_jax.adapters.openai_agents import agents_team

    return agents_team(lambda side: Agent("A", model=side.model, tools=list(side.tools[:1])), max_turns=1000)


FRAMEWORKS = (
    Framework("langgraph", "langgraph", langgraph_bare, langgraph_adapted),
    Framework("openai_agents", "agents", agents_bare, agents_adapted),
)
