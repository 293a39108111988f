"""What a team is told before the question (AgeMem, arXiv 2601.01885): it may keep of it what it wants, then it is gone.

The team sees the messages, and neither the question nor any part of it. Rounds are as always: a progress ledger, then
a step, until the ledger says that nothing is left to keep. The thread is then cleared, and the question is asked of a
team that has its memory and nothing else. A team without a memory of its own hears nothing.
"""

from dataclasses import replace

from lts_jax import prompts
from lts_jax.records import Step, Task
from lts_jax.teams.ledger import Ledger
from lts_jax.teams.orchestrator import check_progress
from lts_jax.teams.ports import TeamPorts, keeps_memory, raise_if_cancelled
from lts_jax.teams.settings import TeamSettings
from lts_jax.teams.state import TeamState
from lts_jax.teams.workers import run_worker


async def hear(task: Task, team: int, ports: TeamPorts, settings: TeamSettings, state: TeamState) -> None:
    """Tell the team what the task says before its question, and clear the thread again.

    Raises:
        BudgetStop, EndpointStop: as of every call.
    """
    if not task.told or not keeps_memory(ports):
        return
    listening = replace(task, question=prompts.LISTENING)
    state.say(prompts.task_ledger(prompts.LISTENING, (), "None yet.", "Keep what may be needed.", ports.own_tools))
    for text in task.told:
        state.say(prompts.told(text))
    for _ in range(min(settings.max_told_rounds, settings.max_rounds // 2)):
        state.num_rounds += 1
        ledger = await check_progress(listening, ports, state, settings)
        if ledger.is_request_satisfied:
            break
        instruct(ledger, state)
        step = await take_step(team, ports, settings, state)
        if ports.keep_step is not None:
            ports.keep_step(step)
    state.thread.clear()
    state.transcript.clear()  # whoever reads it later was not told either
    state.agent = state.instruction = ""


def instruct(ledger: Ledger, state: TeamState) -> None:
    """Say the next speaker's instruction in the thread."""
    state.agent, state.instruction = ledger.next_speaker, ledger.instruction
    state.say(prompts.instruction(state.agent, state.instruction))


async def take_step(team: int, ports: TeamPorts, settings: TeamSettings, state: TeamState) -> Step:
    """Let the agent work that was instructed last; the step, which stands in the thread."""
    agent, asked = state.agent, state.instruction
    started = ports.now()
    reply = await run_worker(agent, state.thread, ports, settings)
    raise_if_cancelled()
    state.say(prompts.agent_reply(agent, reply.output if reply.output.strip() else "(empty reply)"))
    step = Step(
        team,
        state.num_steps,
        agent,
        asked,
        reply.action,
        reply.output,
        started_seconds=started,
        finished_seconds=ports.now(),
        failed=reply.failed,
    )
    state.num_steps += 1
    return step
