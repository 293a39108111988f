"""Our workers as agents of AutoGen's, for worlds whose tools are ours."""

import json
from collections.abc import Sequence

from autogen_agentchat.agents import BaseChatAgent
from autogen_agentchat.base import Response
from autogen_agentchat.messages import BaseChatMessage, TextMessage
from autogen_core import CancellationToken

from lts_jax.adapters.autogen.orchestrator import WORKER_REPLY
from lts_jax.adapters.autogen.side import AutogenSide
from lts_jax.prompts import team
from lts_jax.teams.workers import run_worker


class WorkerAgent(BaseChatAgent):
    """One of `prompts.team`, working on the team's own thread with the team's own tools."""

    def __init__(self, name: str, side: AutogenSide) -> None:
        super().__init__(name, team(side.ports.own_tools)[name])
        self._side = side

    @property
    def produced_message_types(self) -> Sequence[type[BaseChatMessage]]:
        """Text only."""
        return (TextMessage,)

    async def on_messages(self, messages: Sequence[BaseChatMessage], cancellation_token: CancellationToken) -> Response:
        """One reply to the orchestrator's last instruction."""
        side = self._side
        work = run_worker(self.name, side.state.thread, side.ports, side.team_settings)
        reply = await side.gate.wait(work)
        told = json.dumps([reply.action, reply.output, reply.failed])
        text = TextMessage(content=reply.output, source=self.name, metadata={WORKER_REPLY: told})
        return Response(chat_message=text)

    async def on_reset(self, cancellation_token: CancellationToken) -> None:
        """Nothing to forget: the thread is the team's."""


def our_workers(side: AutogenSide) -> list[WorkerAgent]:
    """The workers of our own teams."""
    return [WorkerAgent(name, side) for name in team(side.ports.own_tools)]
