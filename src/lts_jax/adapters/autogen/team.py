"""AutoGen's Magentic-One as what works as one team of a rollout.

```python
model = AutogenChatModel(OpenAIChatCompletionClient(model="gpt-4o"), "gpt-4o")
parts = autogen_parts(model, lambda side: [AssistantAgent("Assistant", side.client())], admit_all())
rollout = await run_rollout(task, Coordinates(0, 0, task.task_id, 0), parts, RolloutSettings(num_teams=3))
```

K teams race, share one bank, ask one policy and leave one `Rollout`, as our own teams do; only the engine of a team is
AutoGen's. It counts rounds and stalls in its own way (see `TeamSettings.stall_semantics`), has no limit of re-plans,
and keeps pulled values until a re-plan. It knows no virtual clock.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from autogen_agentchat.base import TaskResult
from autogen_core import CancellationToken
from autogen_core.models import ModelInfo

from lts_jax.adapters.autogen.chat_model import AutogenChatModel
from lts_jax.adapters.autogen.client import TEXT_MODEL, CallGate
from lts_jax.adapters.autogen.group_chat import SharingGroupChat
from lts_jax.adapters.autogen.side import AutogenSettings, AutogenSide, MakeAgents
from lts_jax.admission.policy import AdmissionPolicy
from lts_jax.llm.budget import Budget, Price
from lts_jax.llm.chat import ChatModel
from lts_jax.memory.encoders import Encoder
from lts_jax.records import Answer, StopReason, Task, ToolResult
from lts_jax.rollouts.rollout import RolloutParts
from lts_jax.teams.aggregate import extract_answer
from lts_jax.teams.parallel import RunTeam
from lts_jax.teams.ports import TeamPorts
from lts_jax.teams.settings import TeamSettings
from lts_jax.teams.state import TeamResult, TeamState
from lts_jax.teams.team import crash_detail
from lts_jax.teams.tolerant_json import plain_text


def autogen_team(
    make_agents: MakeAgents, settings: AutogenSettings | None = None, model_info: ModelInfo | None = None
) -> RunTeam:
    """What `RolloutParts.run_team` takes, for teams of AutoGen's.

    Args:
        make_agents: the agents of one team; called once a team.
        settings: whose prompts, and where agents have their content from.
        model_info: what the model can do; default: text and JSON, no tools.
    """
    chosen, info = settings or AutogenSettings(), model_info or TEXT_MODEL

    async def run(task: Task, team: int, ports: TeamPorts, of_team: TeamSettings, state: TeamState) -> TeamResult:
        side = AutogenSide(task, team, ports, state, of_team, chosen, CallGate(ports), info)
        return await _run(make_agents, side)

    return run


def autogen_parts(
    model: ChatModel,
    make_agents: MakeAgents,
    policy: AdmissionPolicy,
    *,
    settings: AutogenSettings | None = None,
    encoder: Encoder | None = None,
    budget: Budget | None = None,
    price: Price | None = None,
) -> RolloutParts:
    """The parts of a rollout by AutoGen's teams, whose agents bring their own tools, on the real clock."""
    info = model.model_info if isinstance(model, AutogenChatModel) else None
    return RolloutParts(
        model=model,
        use_tool=no_tools,
        policy=policy,
        encoder=encoder,
        virtual_time=False,
        budget=budget or Budget(),
        price=price or Price(),
        run_team=autogen_team(make_agents, settings, info),
    )


def no_tools(tool: str, arguments: Mapping[str, Any]) -> ToolResult:
    """Refuses: AutoGen's agents bring their own tools."""
    return ToolResult(f"there is no tool {tool!r}", failed=True, tool=tool)


async def _run(make_agents: MakeAgents, side: AutogenSide) -> TeamResult:
    state, ports = side.state, side.ports
    chat = SharingGroupChat(make_agents(side), side)
    try:
        result = await _chat(chat, side)
    except asyncio.CancelledError:
        raise
    except Exception as error:
        reason, detail = side.gate.failure or (StopReason.CRASHED, crash_detail(error))
        return TeamResult(state.answer(side.team, "", ports.now(), reason, detail), tuple(state.transcript))
    said = chat.orchestrator is not None and chat.orchestrator.stop_reason
    return TeamResult(_answer(side, result, said or StopReason.CRASHED), tuple(state.transcript))


def _answer(side: AutogenSide, result: TaskResult, reason: StopReason) -> Answer:
    text = result.messages[-1].to_text() if result.messages and reason != StopReason.CRASHED else ""
    detail = "" if text else f"ended without an answer: {result.stop_reason}"
    return side.state.answer(side.team, extract_answer(plain_text(text)), side.ports.now(), reason, detail)


async def _chat(chat: SharingGroupChat, side: AutogenSide) -> TaskResult:
    """Run the team. If this task is cancelled, its calls are dropped and AutoGen's runtime has some time to end.

    AutoGen tells of such an end as an error, in its log `autogen_core`.
    """
    token = CancellationToken()
    files = f"\nFiles at hand: {', '.join(side.task.attachments)}" if side.task.attachments else ""
    running = asyncio.ensure_future(chat.run(task=side.task.question + files, cancellation_token=token))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        side.gate.close()
        token.cancel()
        await asyncio.wait([running], timeout=side.settings.grace_seconds)
        running.cancel()
        raise
