"""`MagenticOneGroupChat` whose orchestrator is ours."""

from collections.abc import Callable, Sequence
from typing import Any

from autogen_agentchat.base import ChatAgent
from autogen_agentchat.teams import MagenticOneGroupChat

from lts_jax.adapters.autogen.orchestrator import SharingOrchestrator
from lts_jax.adapters.autogen.side import AutogenSide


class SharingGroupChat(MagenticOneGroupChat):
    """One team of AutoGen's that shares a bank with others. `orchestrator` is there once the team runs."""

    def __init__(self, participants: Sequence[ChatAgent], side: AutogenSide) -> None:
        super().__init__(
            list(participants),
            side.client(),
            max_turns=side.team_settings.max_rounds,
            max_stalls=side.team_settings.max_stalls,
        )
        self.orchestrator: SharingOrchestrator | None = None
        self._side = side

    def _create_group_chat_manager_factory(
        self,
        name: str,
        group_topic_type: str,
        output_topic_type: str,
        participant_topic_types: list[str],
        participant_names: list[str],
        participant_descriptions: list[str],
        output_message_queue: Any,
        termination_condition: Any,
        max_turns: int | None,
        message_factory: Any,
    ) -> Callable[[], SharingOrchestrator]:
        def make() -> SharingOrchestrator:
            self.orchestrator = SharingOrchestrator(
                name,
                group_topic_type,
                output_topic_type,
                participant_topic_types,
                participant_names,
                participant_descriptions,
                max_turns,
                message_factory,
                side=self._side,
                max_stalls=self._max_stalls,
                final_answer_prompt="",
                output_message_queue=output_message_queue,
                termination_condition=termination_condition,
                emit_team_events=self._emit_team_events,
            )
            return self.orchestrator

        return make
