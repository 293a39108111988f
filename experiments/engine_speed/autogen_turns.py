"""CPU of AutoGen's MagenticOneGroupChat per team turn, with a model that costs nothing. Started by run.py.

Needs autogen-agentchat and autogen-ext (in an environment of their own). For each line on standard input, "TEAMS
TURNS", it runs that many teams of that many turns side by side and answers with one JSON line.
"""

import asyncio
import json
import logging
import sys
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from importlib.metadata import version
from typing import Any

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import MagenticOneGroupChat
from autogen_core.models import ChatCompletionClient, CreateResult, LLMMessage, ModelInfo, RequestUsage

AGENTS = ("WebSurfer", "FileSurfer", "Coder", "ComputerTerminal")
USAGE = RequestUsage(prompt_tokens=10, completion_tokens=5)


class CannedClient(ChatCompletionClient):
    """Answers a request for the ledger with the ledger, anything else with the text."""

    def __init__(self, ledger: str, text: str) -> None:
        self.num_calls = 0
        self._ledger = CreateResult(finish_reason="stop", content=ledger, usage=USAGE, cached=False)
        self._text = CreateResult(finish_reason="stop", content=text, usage=USAGE, cached=False)

    async def create(self, messages: Sequence[LLMMessage], **asked: Any) -> CreateResult:
        """The answer; `json_output` is what the orchestrator asks its ledger with."""
        self.num_calls += 1
        return self._ledger if asked.get("json_output") else self._text

    async def create_stream(self, messages: Sequence[LLMMessage], **asked: Any) -> AsyncGenerator[Any, None]:
        """The answer at once."""
        yield await self.create(messages, **asked)

    async def close(self) -> None:
        """Nothing is open."""

    def actual_usage(self) -> RequestUsage:
        """Constant."""
        return USAGE

    def total_usage(self) -> RequestUsage:
        """Constant."""
        return USAGE

    def count_tokens(self, messages: Sequence[LLMMessage], **asked: Any) -> int:
        """Constant."""
        return 10

    def remaining_tokens(self, messages: Sequence[LLMMessage], **asked: Any) -> int:
        """Constant."""
        return 100_000

    @property
    def capabilities(self) -> Mapping[str, Any]:  # type: ignore[override]
        """As `model_info`."""
        return self.model_info

    @property
    def model_info(self) -> ModelInfo:
        """Takes JSON mode, no tools, so that an agent's turn is one call."""
        return ModelInfo(
            vision=False, function_calling=False, json_output=True, family="unknown", structured_output=False
        )


async def run_team(client: CannedClient, task: str, num_turns: int) -> int:
    """One team to its limit of turns; messages of agents that came out."""
    agents = [AssistantAgent(name, model_client=client, description=f"The {name}.") for name in AGENTS]
    team = MagenticOneGroupChat(agents, model_client=client, max_turns=num_turns)
    result = await team.run(task=task)
    return sum(message.source in AGENTS for message in result.messages)


async def run_teams(num_teams: int, num_turns: int, canned: dict[str, str]) -> dict[str, float]:
    """Teams side by side; CPU microseconds a turn."""
    client = CannedClient(canned["ledger"], canned["text"])
    cpu = time.process_time()
    turns = await asyncio.gather(*(run_team(client, canned["task"], num_turns) for _ in range(num_teams)))
    cpu = time.process_time() - cpu
    return {
        "turns": sum(turns),
        "calls": client.num_calls,
        "microseconds_per_turn": 1e6 * cpu / sum(turns),
        "microseconds_per_call": 1e6 * cpu / client.num_calls,
    }


def main() -> None:
    """Answer line by line."""
    logging.disable(logging.CRITICAL)
    canned = json.loads(sys.argv[1])
    print(json.dumps({"version": version("autogen-agentchat")}), flush=True)
    for line in sys.stdin:
        num_teams, num_turns = (int(word) for word in line.split())
        print(json.dumps(asyncio.run(run_teams(num_teams, num_turns, canned))), flush=True)


if __name__ == "__main__":
    main()
