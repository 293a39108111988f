"""Results of tau2-bench (github.com/sierra-research/tau2-bench, MIT) as runs of tau-bench, several trials of a task.

A file is an object with `tasks` and `simulations`, or simulations alone; a simulation holds `task_id`, `trial`,
`reward_info`, how it ended, and its messages. Calls that the simulated customer makes on a device of his own are no
steps of the agent.
"""

from collections.abc import Iterator
from typing import Any

from lts_jax.logs.importers.files import json_text, message_text
from lts_jax.records import StopReason

STOPS = {
    "max_steps": StopReason.ROUND_LIMIT,
    "timeout": StopReason.TIME_LIMIT,
    "too_many_errors": StopReason.CRASHED,
    "agent_error": StopReason.CRASHED,
    "user_error": StopReason.CRASHED,
    "infrastructure_error": StopReason.CRASHED,
    "unexpected_error": StopReason.CRASHED,
}
"""How a simulation ended, where it did not end because one of the two said so."""


def as_tau_bench(value: Any) -> Any:
    """A log's value with the simulations of tau2-bench as runs with `task_id`, `traj` and so on; others as they are."""
    results = value if isinstance(value, list) else [value]
    if not any(isinstance(each, dict) and {"simulations", "reward_info"} & set(each) for each in results):
        return value
    whole = [each if isinstance(each, dict) and "simulations" in each else {"simulations": [each]} for each in results]
    return [run for each in whole for run in _runs(each)]


def _runs(results: dict[str, Any]) -> Iterator[Any]:
    tasks = results.get("tasks") if isinstance(results.get("tasks"), list) else []
    told = {str(task.get("id")): _instruction(task) for task in tasks or () if isinstance(task, dict)}
    simulations = results.get("simulations")
    for each in simulations if isinstance(simulations, list) else [simulations]:
        if not isinstance(each, dict):
            yield each
            continue
        reward, messages = each.get("reward_info"), each.get("messages")
        yield {
            "task_id": each.get("task_id"),
            "trial": each.get("trial"),
            "reward": reward.get("reward") if isinstance(reward, dict) else None,
            "info": {"task": {"instruction": told.get(str(each.get("task_id")), "")}},
            "traj": list(_messages(messages)) if isinstance(messages, list) else [] if messages is None else messages,
            "ended": str(each.get("termination_reason") or ""),
        }


def _messages(messages: list[Any]) -> Iterator[Any]:
    """The messages of the agent's conversation; results that stand together in one are taken apart."""
    for message in messages:
        if not isinstance(message, dict):
            yield message
        elif isinstance(message.get("tool_messages"), list):
            yield from _messages(message["tool_messages"])
        elif message.get("requestor") == "user" and message.get("role") == "tool":
            continue
        elif message.get("role") == "user":
            if message_text(message.get("content")):
                yield {name: part for name, part in message.items() if name != "tool_calls"}
        else:
            yield message


def _instruction(task: dict[str, Any]) -> str:
    """What the simulated customer was told to want: a text, or an object with its parts."""
    scenario = task.get("user_scenario")
    told = scenario.get("instructions") if isinstance(scenario, dict) else None
    if not isinstance(told, dict):
        return message_text(told)
    parts = (told.get(name) for name in ("reason_for_call", "known_info", "task_instructions"))
    return "\n".join(filter(None, map(message_text, parts))) or json_text(told)
