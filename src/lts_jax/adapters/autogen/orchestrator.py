"""AutoGen's Magentic-One orchestrator with a shared memory: pulls before each ledger, a decision after each reply.

A subclass that repeats no logic: it overrides AutoGen's openings (the six prompts, the thread, the round) and calls
them. What AutoGen's orchestrator would crash on in a progress ledger is read by `lts_jax.teams.ledger` first.
"""

import json
import os
from collections.abc import Sequence
from typing import Any

from autogen_agentchat.base import Response
from autogen_agentchat.messages import (
    BaseAgentEvent,
    BaseChatMessage,
    TextMessage,
    ToolCallExecutionEvent,
    ToolCallRequestEvent,
)
from autogen_agentchat.teams._group_chat._events import GroupChatAgentResponse, GroupChatMessage, GroupChatTeamResponse
from autogen_agentchat.teams._group_chat._magentic_one._magentic_one_orchestrator import MagenticOneOrchestrator
from autogen_core import CancellationToken, DefaultTopicId, MessageContext, event
from autogen_core.models import AssistantMessage, LLMMessage, UserMessage

from lts_jax import prompts
from lts_jax.adapters.autogen.client import PortedClient, ledger_json
from lts_jax.adapters.autogen.side import AutogenSide
from lts_jax.records import Message, Step, StopReason
from lts_jax.redact import environment_secrets, redact_text
from lts_jax.teams.ledger import Ledger, LedgerProblem, parse_ledger
from lts_jax.teams.tolerant_json import find_objects

NAME = "Orchestrator"  # who speaks in the thread, as in our own teams
MEMORY = "SharedMemory"
WORKER_REPLY = "lts_worker"  # metadata of a message: action, output and failure of one of our workers

_ToolCalls = list[tuple[str, dict[str, object], str]]


class SharingOrchestrator(MagenticOneOrchestrator):
    """The orchestrator of one team that shares a bank with others. Made by `SharingGroupChat`."""

    def __init__(self, name: str, *arguments: Any, side: AutogenSide, **settings: Any) -> None:
        self._side = side
        self._client = PortedClient(side.gate, side.model_info, "facts", self._show)
        settings["model_client"] = self._client
        super().__init__(NAME, *arguments, **settings)
        self._secrets = environment_secrets(os.environ)
        self.stop_reason: StopReason | None = None
        self._ledger: Ledger | None = None
        self._num_unusable = 0  # ledgers of this round that could not be read
        self._stalls_before = 0
        self._calls: _ToolCalls = []
        self._speaks = "ledger"  # what its next own message is: task "ledger", "instruction" or "answer"
        self._started = 0.0

    # The six requests: whose words they are in, and how their calls are recorded.

    def _get_task_ledger_facts_prompt(self, task: str) -> str:
        own = super()._get_task_ledger_facts_prompt(task)
        return self._request("facts", own, prompts.facts_request(self._question, self._side.task.attachments))

    def _get_task_ledger_plan_prompt(self, team: str) -> str:
        return self._request("plan", super()._get_task_ledger_plan_prompt(team), prompts.plan_request())

    def _get_task_ledger_full_prompt(self, task: str, team: str, facts: str, plan: str) -> str:
        self._speaks = "ledger"
        own = super()._get_task_ledger_full_prompt(task, team, facts, plan)
        files, own_tools = self._side.task.attachments, self._side.ports.own_tools
        return self._choose_wording(own, prompts.task_ledger(self._question, files, facts, plan, own_tools))

    def _get_progress_ledger_prompt(self, task: str, team: str, names: list[str]) -> str:
        self._ledger, self._num_unusable = None, 0
        self._stalls_before = self._n_stalls
        self._side.state.num_rounds = self._n_rounds
        own = super()._get_progress_ledger_prompt(task, team, names)
        return self._request("ledger", own, prompts.ledger_request(self._side.ports.own_tools))

    def _get_task_ledger_facts_update_prompt(self, task: str, facts: str) -> str:
        own = super()._get_task_ledger_facts_update_prompt(task, facts)
        return self._request("facts_update", own, prompts.facts_update_request(self._question))

    def _get_task_ledger_plan_update_prompt(self, team: str) -> str:
        own = super()._get_task_ledger_plan_update_prompt(team)
        return self._request("plan_update", own, prompts.plan_update_request())

    def _get_final_answer_prompt(self, task: str) -> str:
        # Always ours: the answer has to stand behind the marker, in the spelling that is scored.
        self._client.purpose = "answer"
        return prompts.answer_request(self._question).content

    @property
    def _question(self) -> str:
        return self._side.task.question

    def _request(self, purpose: str, own: str, ours: Message) -> str:
        self._client.purpose = purpose
        return self._choose_wording(own, ours)

    def _choose_wording(self, own: str, ours: Message) -> str:
        return ours.content if self._side.settings.prompts == "ours" else own

    # The round: pull values, ask for the ledger, count stalls.

    async def _orchestrate_step(self, cancellation_token: CancellationToken) -> None:
        if self._max_turns is None or self._n_rounds <= self._max_turns:
            self._speaks = "instruction"
            await self._pull_values()
        await super()._orchestrate_step(cancellation_token)
        self._count_stall()

    async def _update_task_ledger(self, cancellation_token: CancellationToken) -> None:
        self._count_stall()
        self._side.state.num_replans += 1
        await super()._update_task_ledger(cancellation_token)
        self._side.state.thread.clear()
        self._side.state.agent = self._side.state.instruction = ""
        self._side.ports.forget_values()

    async def _prepare_final_answer(self, reason: str, cancellation_token: CancellationToken) -> None:
        satisfied = self._ledger is not None and self._ledger.is_request_satisfied
        self.stop_reason = StopReason.SATISFIED if satisfied else StopReason.ROUND_LIMIT
        self._speaks = "answer"
        await super()._prepare_final_answer(reason, cancellation_token)

    def _count_stall(self) -> None:
        if self._n_stalls > self._stalls_before:
            self._side.state.num_stalls += 1
            self._stalls_before = self._n_stalls

    async def _pull_values(self) -> None:
        state = self._side.state
        asked = self._side.ports.select_values(state.num_steps, state.instruction or self._question, state.thread)
        pulled = await self._side.gate.wait(asked)
        for value in pulled:
            said = prompts.value_message(*value)
            state.say(said)
            message = TextMessage(content=said.content, source=MEMORY)
            self._message_thread.append(message)
            output = DefaultTopicId(type=self._output_topic_type)
            await self.publish_message(GroupChatMessage(message=message), topic_id=output)
            await self._output_message_queue.put(message)
            await self.publish_message(  # the next speaker sees it too
                GroupChatAgentResponse(response=Response(chat_message=message), name=MEMORY),
                topic_id=DefaultTopicId(type=self._group_topic_type),
            )

    # The ledger: read tolerantly, and replaced by a rule when it cannot be had.

    def _show(self, purpose: str, reply: str) -> str:
        if purpose != "ledger":
            return reply
        ledger = _read_ledger(reply, self._participant_names)
        if isinstance(ledger, LedgerProblem):
            self._num_unusable += 1
            if self._num_unusable < min(self._side.team_settings.max_ledger_attempts, self._max_json_retries):
                return ""  # AutoGen asks again
            ledger = self._ledger_by_rule()
        self._ledger = ledger
        return ledger_json(ledger)

    def _ledger_by_rule(self) -> Ledger:
        state = self._side.state
        agent, asked = state.agent or self._participant_names[0], state.instruction or self._question
        return Ledger(False, False, False, agent, asked)

    # The thread: mirrored in the team's state, and a worker's reply becomes a step.

    def _thread_to_context(self) -> list[LLMMessage]:
        if self._side.settings.prompts == "autogen":
            return super()._thread_to_context()
        return [_to_llm_message(message) for message in self._side.state.thread]

    @event
    async def handle_agent_response(
        self, message: GroupChatAgentResponse | GroupChatTeamResponse, ctx: MessageContext
    ) -> None:
        """A worker has replied: keep its tool calls, then go on as AutoGen does."""
        inner = message.response.inner_messages if isinstance(message, GroupChatAgentResponse) else None
        self._calls = _tool_calls(inner or ())
        await super().handle_agent_response(message, ctx)

    async def update_message_thread(self, messages: Sequence[BaseAgentEvent | BaseChatMessage]) -> None:
        """Append to the thread; an instruction begins a step and a worker's reply ends it."""
        await super().update_message_thread(messages)
        for message in messages:
            if message.source == self._name:
                self._say(message.to_text())
            elif isinstance(message, BaseChatMessage):
                await self._finish_step(message)

    def _say(self, text: str) -> None:
        state = self._side.state
        if self._speaks != "instruction":
            role = "user" if self._speaks == "ledger" else "assistant"
            state.say(Message(role, text, self._name))
            return
        state.agent = self._ledger.next_speaker if self._ledger else self._participant_names[0]
        state.instruction = text
        state.say(prompts.instruction(state.agent, text))
        self._started = self._side.ports.now()

    def _clean(self, text: str) -> str:
        """A text without secrets: what AutoGen's own tools return passes no other guard."""
        return redact_text(text, self._secrets) if self._side.settings.redact else text

    async def _finish_step(self, message: BaseChatMessage) -> None:
        state, ports = self._side.state, self._side.ports
        said = self._clean(message.to_model_text())
        if WORKER_REPLY in message.metadata:
            action, output, failed = json.loads(message.metadata[WORKER_REPLY])
        else:
            calls = [f"{tool} {json.dumps(given, ensure_ascii=False)}" for tool, given, _ in self._calls]
            action = self._clean("\n".join(calls))
            output, failed = said, not said.strip() or "Traceback (most recent call last)" in said
            ports.note_origins(self._side.origins_of(message.source, self._calls))
        state.say(prompts.agent_reply(message.source, said if said.strip() else "(empty reply)"))
        step = Step(
            self._side.team, state.num_steps, message.source, state.instruction, action, output,
            started_seconds=self._started, finished_seconds=ports.now(), failed=failed,
        )  # fmt: skip
        state.num_steps += 1
        self._calls = []
        await self._side.gate.wait(ports.finish_step(step, state.thread))


def _read_ledger(reply: str, agents: Sequence[str]) -> Ledger | LedgerProblem:
    """The ledger in a reply; in a team of one, whoever it names as speaker."""
    ledger = parse_ledger(reply, agents)
    if isinstance(ledger, Ledger) or len(agents) > 1:
        return ledger
    named = [
        parse_ledger(json.dumps({**each, "next_speaker": agents[0]}), agents) for each in find_objects(reply).objects
    ]
    return next((each for each in named if isinstance(each, Ledger)), ledger)


def _to_llm_message(message: Message) -> LLMMessage:
    kind = AssistantMessage if message.role == "assistant" else UserMessage
    return kind(content=message.content, source=message.name or message.role)


def _tool_calls(inner: Sequence[BaseAgentEvent | BaseChatMessage]) -> _ToolCalls:
    """The tool calls of a reply with their results, in order."""
    asked = [call for each in inner if isinstance(each, ToolCallRequestEvent) for call in each.content]
    results = {
        result.call_id: result.content
        for each in inner
        if isinstance(each, ToolCallExecutionEvent)
        for result in each.content
    }
    return [(call.name, _arguments(call.arguments), results.get(call.id, "")) for call in asked]


def _arguments(text: str) -> dict[str, object]:
    try:
        value = json.loads(text)
    except ValueError:
        return {"text": text}
    return value if isinstance(value, dict) else {"value": value}
