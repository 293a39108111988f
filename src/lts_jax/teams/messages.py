"""What the orchestrator says, handed to the shared memory too, where every message is stored and not results alone.

The authors of Learning to Share (arXiv 2602.05965) describe one entry a worker's step; their early public code
(joefioresi718/autogen, commit b8dcfa1) stores every message of a team: plan, instructions, replies, final answer. Here
such a message is a step of the agent `ORCHESTRATOR`, with a number, a summary and a decision of its own, so that
records, credit and training meet nothing new.
"""

from lts_jax.prompts import ORCHESTRATOR
from lts_jax.records import Step, Task
from lts_jax.teams.ports import TeamPorts
from lts_jax.teams.settings import TeamSettings
from lts_jax.teams.state import TeamState


async def share_message(
    task: Task, team: int, ports: TeamPorts, settings: TeamSettings, state: TeamState, text: str
) -> None:
    """Hand in one message of the orchestrator, if the settings say so; the team waits as it does after a step."""
    if settings.stored == "steps":
        return
    now = ports.now()
    message = Step(
        team, state.num_steps, ORCHESTRATOR, task.question, "", text, started_seconds=now, finished_seconds=now
    )
    state.num_steps += 1
    state.num_messages += 1
    await ports.finish_step(message, state.thread)
