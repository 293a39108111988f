"""One Magentic-One team from the task to its answer (arXiv 2411.04468).

```
told something before -> keeps of it what it wants, thread cleared (`told`)
facts, plan -> task ledger
round: rounds used up? -> answer
       pull values -> progress ledger
       satisfied? -> answer
       no progress or in a loop: stall counter + 1, else - 1
       stuck? -> re-plans used up? answer : new facts and plan, thread cleared, next round
       instruction -> worker -> step finished (summary, admission) -> next round
```

Where every message is shared (`TeamSettings.stored`), plan, instruction and answer are summarised and decided on too.
"""

import asyncio
import traceback
from functools import partial

from lts_jax import prompts
from lts_jax.records import Answer, StopReason, Task
from lts_jax.teams.aggregate import extract_answer
from lts_jax.teams.ledger import Ledger
from lts_jax.teams.messages import share_message
from lts_jax.teams.orchestrator import ask_answer, check_progress, make_plan, revise_plan
from lts_jax.teams.ports import BudgetStop, EndpointStop, TeamPorts, is_cancelled
from lts_jax.teams.settings import TeamSettings
from lts_jax.teams.state import TeamResult, TeamState
from lts_jax.teams.told import hear, instruct, take_step
from lts_jax.teams.tolerant_json import plain_text


async def run_team(
    task: Task, team: int, ports: TeamPorts, settings: TeamSettings, state: TeamState | None = None
) -> TeamResult:
    """Run one team to its end.

    Whatever fails inside becomes the answer's stop reason; a team that ends by a limit still gives an answer.
    `state` lets the caller see how far a team came that it cancels.

    Raises:
        asyncio.CancelledError: the team was cancelled from outside; work stops at the next await.
    """
    state = TeamState() if state is None else state
    try:
        stop_reason = await _work(task, team, ports, settings, state)
        answer = await _answer(task, team, ports, settings, state, stop_reason)
    except BudgetStop as stop:
        answer = state.answer(team, "", ports.now(), StopReason.BUDGET, str(stop))
    except EndpointStop as stop:
        answer = state.answer(team, "", ports.now(), StopReason.MODEL_ERROR, str(stop))
    except asyncio.CancelledError as error:
        if is_cancelled():
            raise
        answer = state.answer(team, "", ports.now(), StopReason.CRASHED, crash_detail(error))
    except Exception as error:  # a mistake in one team must not end the others
        answer = state.answer(team, "", ports.now(), StopReason.CRASHED, crash_detail(error))
    return TeamResult(answer, tuple(state.transcript))


def crash_detail(error: BaseException) -> str:
    """One line: the error's type and text, and the line of code that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({frames[-1].filename.rsplit('/', 1)[-1]}:{frames[-1].lineno})" if frames else ""
    return " ".join(f"{type(error).__name__}: {error}".split())[:500] + place


async def _work(task: Task, team: int, ports: TeamPorts, settings: TeamSettings, state: TeamState) -> StopReason:
    await hear(task, team, ports, settings, state)
    share = partial(share_message, task, team, ports, settings, state)
    await make_plan(task, ports, state)
    await share(state.thread[-1].content)
    while not _rounds_used_up(state, settings):
        state.num_rounds += 1
        await _pull_values(task, ports, state)
        ledger = await check_progress(task, ports, state, settings)
        if ledger.is_request_satisfied:
            return StopReason.SATISFIED
        _count_stall(state, ledger)
        if not _is_stuck(state, settings):
            instruct(ledger, state)
            await share(state.thread[-1].content)
            await _take_step(team, ports, settings, state)
            continue
        if settings.max_replans is not None and state.num_replans >= settings.max_replans:
            return StopReason.REPLAN_LIMIT
        await _replan(task, ports, settings, state)
        await share(state.thread[-1].content)
    return StopReason.ROUND_LIMIT


def _rounds_used_up(state: TeamState, settings: TeamSettings) -> bool:
    if settings.stall_semantics == "autogen":
        return state.num_rounds > settings.max_rounds
    return state.num_rounds >= settings.max_rounds


def _is_stuck(state: TeamState, settings: TeamSettings) -> bool:
    if settings.stall_semantics == "autogen":
        return state.stall_count >= settings.max_stalls
    return state.stall_count > settings.max_stalls


def _count_stall(state: TeamState, ledger: Ledger) -> None:
    if ledger.is_in_loop or not ledger.is_progress_being_made:
        state.stall_count += 1
        state.num_stalls += 1
    else:
        state.stall_count = max(0, state.stall_count - 1)


async def _replan(task: Task, ports: TeamPorts, settings: TeamSettings, state: TeamState) -> None:
    state.num_replans += 1
    await revise_plan(task, ports, state)
    if settings.stall_semantics == "agent_framework":
        state.stall_count = 0


async def _pull_values(task: Task, ports: TeamPorts, state: TeamState) -> None:
    pulled = await ports.select_values(state.num_steps, state.instruction or task.question, state.thread)
    for entry, key, value in pulled:
        state.say(prompts.value_message(entry, key, value))


async def _take_step(team: int, ports: TeamPorts, settings: TeamSettings, state: TeamState) -> None:
    step = await take_step(team, ports, settings, state)
    await ports.finish_step(step, state.thread)
    if not settings.persist_values:
        _drop_values(ports, state)


def _drop_values(ports: TeamPorts, state: TeamState) -> None:
    kept = [message for message in state.thread if message.name != prompts.VALUE_SPEAKER]
    if len(kept) < len(state.thread):
        state.thread[:] = kept
        ports.forget_values()


async def _answer(
    task: Task, team: int, ports: TeamPorts, settings: TeamSettings, state: TeamState, stop_reason: StopReason
) -> Answer:
    call = await ask_answer(task, ports, state)
    if call.error:
        return state.answer(team, "", ports.now(), StopReason.MODEL_ERROR, call.error)
    if call.is_cut:  # twice: half an answer is none
        return state.answer(team, "", ports.now(), StopReason.MODEL_ERROR, "the answer was cut at its limit of tokens")
    text = plain_text(call.reply)
    await share_message(task, team, ports, settings, state, text)
    return state.answer(team, extract_answer(text), ports.now(), stop_reason)
