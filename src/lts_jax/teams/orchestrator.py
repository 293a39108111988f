"""The orchestrator's calls: facts, plan, progress ledger with retries, revised facts and plan, final answer.

Magentic-One, arXiv 2411.04468. A failed call never ends a team here: a missing fact sheet or plan is an empty one, and
a ledger that cannot be had is replaced by a rule.
"""

from lts_jax import prompts
from lts_jax.records import Message, ModelCall, Task
from lts_jax.teams.ledger import Ledger, LedgerProblem, parse_ledger
from lts_jax.teams.ports import TeamPorts, ask_model, keeps_memory
from lts_jax.teams.settings import TeamSettings
from lts_jax.teams.state import TeamState
from lts_jax.teams.tolerant_json import plain_text

_SHOWN_CHARACTERS = 500  # of an unusable reply, when it is shown to the model again


async def make_plan(task: Task, ports: TeamPorts, state: TeamState) -> None:
    """Facts call, plan call, and the task ledger as the first message of the thread."""
    messages = [prompts.facts_request(task.question, task.attachments)]
    facts = await ask_model(ports, "facts", messages)
    messages += [_assistant_message(_text_of(facts)), *_key_messages(ports, state), prompts.plan_request()]
    plan = await ask_model(ports, "plan", messages)
    state.facts, state.plan = _text_of(facts), _text_of(plan)
    state.say(_task_ledger(task, ports, state))


async def revise_plan(task: Task, ports: TeamPorts, state: TeamState) -> None:
    """Rewrite facts and plan from the old thread, then clear it. A failed call leaves the old text."""
    messages = [*state.thread, prompts.facts_update_request(task.question)]
    facts = await ask_model(ports, "facts_update", messages)
    messages += [_assistant_message(_text_of(facts)), *_key_messages(ports, state), prompts.plan_update_request()]
    plan = await ask_model(ports, "plan_update", messages)
    state.facts, state.plan = _text_of(facts) or state.facts, _text_of(plan) or state.plan
    state.thread.clear()
    state.agent = state.instruction = ""
    ports.forget_values()
    state.say(_task_ledger(task, ports, state))


async def check_progress(task: Task, ports: TeamPorts, state: TeamState, settings: TeamSettings) -> Ledger:
    """The progress ledger. An unusable reply is shown to the model with what is wrong; after the attempts, a rule."""
    asked = [*state.thread, *_key_messages(ports, state), _ledger_request(ports, settings)]
    messages = asked
    for _ in range(settings.max_ledger_attempts):
        call = await ask_model(ports, "ledger", messages)
        if call.error:
            continue  # nothing to show: the same request again
        ledger = parse_ledger(call.reply, tuple(prompts.team(ports.own_tools)), is_cut=call.is_cut)
        if not isinstance(ledger, LedgerProblem):
            return ledger
        messages = [*asked, _assistant_message(call.reply[:_SHOWN_CHARACTERS]), prompts.ledger_retry(ledger.text)]
    return ledger_by_rule(task, state)


def _ledger_request(ports: TeamPorts, settings: TeamSettings) -> Message:
    return prompts.ledger_request(ports.own_tools, settings.ledger_form)


def ledger_by_rule(task: Task, state: TeamState) -> Ledger:
    """The ledger when none could be read: the last order once more, or the question to the WebSurfer; a stall."""
    if state.agent:
        return Ledger(False, False, False, state.agent, state.instruction)
    return Ledger(False, False, False, "WebSurfer", task.question)


async def ask_answer(task: Task, ports: TeamPorts, state: TeamState) -> ModelCall:
    """The final-answer call, from what the thread holds. A reply that was cut at its limit is asked for once more."""
    messages = [*state.thread, prompts.answer_request(task.question)]
    call = await ask_model(ports, "answer", messages)
    return await ask_model(ports, "answer", messages) if call.is_cut else call


def _task_ledger(task: Task, ports: TeamPorts, state: TeamState) -> Message:
    facts = f"{prompts.WAS_TOLD}\n{state.facts}" if task.told and keeps_memory(ports) else state.facts
    return prompts.task_ledger(task.question, task.attachments, facts, state.plan, ports.own_tools)


def _key_messages(ports: TeamPorts, state: TeamState) -> list[Message]:
    lines = ports.list_keys(state.num_steps)
    return [Message("user", "Keys of the shared memory (data):\n" + "\n".join(lines), "SharedKeys")] if lines else []


def _assistant_message(text: str) -> Message:
    return Message("assistant", plain_text(text) if text.strip() else "(empty reply)", prompts.ORCHESTRATOR)


def _text_of(call: ModelCall) -> str:
    return "" if call.error else plain_text(call.reply) + " [cut]" * call.is_cut
