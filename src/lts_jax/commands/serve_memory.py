"""`lts serve-memory`: a shared memory for agents of other programs, as an MCP server."""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated

import tyro

from lts_jax.admission.policy import AdmissionPolicy
from lts_jax.errors import UserError
from lts_jax.llm.chat import Ask, ModelFailure
from lts_jax.records import Message, ModelCall
from lts_jax.rollouts.served_bank import ServedBank, ServedSettings
from lts_jax.seeds import coordinate_seed
from lts_jax.systems.comparison import LEARNED, ComparisonSettings, line_name, make_policy
from lts_jax.systems.lts import learned_policy, trained_params
from lts_jax.systems.run_folder import RunFolder, read_settings
from lts_jax.systems.run_parts import RunParts, make_parts
from lts_jax.systems.train_settings import TrainSettings


@dataclass(frozen=True, slots=True)
class Command:
    """Serve a shared memory over MCP to an agent of another program; all that are given one file share it. What was
    proposed, admitted and read, and by whom, stands in the file; `lts import memory` makes a rollout of it."""

    log: tyro.conf.Positional[Path]
    """The file that holds the memory, as JSON lines; a new one is begun, with another one it goes on."""
    mcp: bool = False
    """Serve as an MCP server over standard input and output; there is no other way, and it must be said."""
    agent: str = ""
    """Name of the agent that is served; the same name is the same agent, none is a new one."""
    policy: str = "all"
    """Admission: a rule such as similarity(threshold=0.6) or mine.py:function, or lts with --run."""
    run: Path | None = None
    """Run folder whose trained controller (and encoder) to use; needed for --policy lts."""
    memory: Annotated[ServedSettings, tyro.conf.arg(name="")] = field(default_factory=ServedSettings)
    train: TrainSettings = field(default_factory=TrainSettings)
    """Encoder and model, for rules that use them."""

    def __post_init__(self) -> None:
        if not self.mcp:
            raise UserError("mcp: serve-memory speaks MCP over standard input and output; say so with --mcp")
        if self.policy == LEARNED and self.run is None:
            raise UserError("policy: lts needs --run, the folder of a trained controller")
        if len(self.agent) > 64 or self.agent != " ".join(self.agent.split()):
            raise UserError(f"agent: expected at most 64 characters on one line, got {self.agent[:80]!r}")


def run(command: Command) -> None:
    """Serve until the agent leaves.

    Raises:
        UserError: a wrong setting, or a log of something else.
    """
    training = command.train if command.run is None else read_settings(command.run, TrainSettings)
    parts = make_parts(training)
    policy = _policy(command, parts)
    bank = ServedBank(command.log, command.memory, policy, _ask(parts), agent=command.agent, encoder=parts.encoder)
    from lts_jax.adapters.mcp_memory import serve_over_stdio

    told = "serving {} to {} over standard input and output, until that ends"
    on_join = partial(print, file=sys.stderr, flush=True)
    asyncio.run(serve_over_stdio(bank, lambda agent: on_join(told.format(command.log, agent))))


def _policy(command: Command, parts: RunParts) -> AdmissionPolicy:
    if command.policy != LEARNED:
        return make_policy(line_name(command.policy, where="policy"), parts, ComparisonSettings())
    assert command.run is not None
    policy = learned_policy(parts, trained_params(RunFolder(command.run), parts))
    policy.decider.rollout_started()  # one agent, whose decisions wait for no others
    return policy


def _ask(parts: RunParts) -> Ask:
    """The run's model, for a policy that asks one."""

    async def ask(purpose: str, messages: Sequence[Message]) -> ModelCall:
        if parts.settings.model.is_simulated:
            raise UserError(f"policy: {purpose} asks a language model; name one with --train.model.name")
        try:
            said = await parts.model.complete(messages, seed=coordinate_seed("served", purpose))
        except ModelFailure as failure:
            return ModelCall(purpose, "", 0, 0, parts.model.name, error=str(failure) or "the model failed")
        return ModelCall(purpose, said.reply, said.prompt_tokens, said.completion_tokens, said.model)

    return ask
