"""Teams of a stranger's, for the tests: some that work, some that do what no team should. Not a test."""

import asyncio

from lts_jax.records import Task
from lts_jax.teams.own_team import OpenPorts


async def searching(task: Task, ports: OpenPorts, *, num_steps: int = 3) -> str:
    """Search for the question's words, read what the others have found, and answer with the last thing read."""
    found = "nothing"
    for number in range(num_steps):
        keys = ports.list_keys()
        if keys:
            found = await ports.pull(keys[-1][0]) or found
        words = task.question.split()[number : number + 4]
        result = await ports.use_tool("web_search", query=" ".join(words))
        await ports.finish_step(
            result.text, agent="Searcher", instruction=" ".join(words), action=f"web_search {words}", step=number
        )
    await ports.ask([{"role": "user", "content": f"{task.question} {found}"}])
    return f"FINAL ANSWER: {found.split()[0]} of team {ports.team}"


async def silent(task: Task, ports: OpenPorts) -> str:
    """Never answers; nothing that it waits for comes."""
    if ports.team == 0:
        await asyncio.Event().wait()
    return await searching(task, ports)


async def stubborn(task: Task, ports: OpenPorts) -> str:
    """Never answers, and lets nobody stop it for a while."""
    while ports.team == 0:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            await asyncio.sleep(0.5)
            return "too late"
    return await searching(task, ports)


async def repeating(task: Task, ports: OpenPorts) -> str:
    """Reports its step number 0 twice."""
    await ports.finish_step("one", step=0)
    if ports.team == 0:
        await ports.finish_step("again", step=0)
    return "one"


async def raising(task: Task, ports: OpenPorts) -> str:
    """Raises after a step."""
    await ports.finish_step("one")
    if ports.team == 0:
        raise KeyError("a mistake")
    return "one"


async def endless(task: Task, ports: OpenPorts) -> str:
    """Takes steps for ever."""
    while True:
        await ports.finish_step("again and again")


async def wordless(task: Task, ports: OpenPorts) -> str:
    """Answers with what is no text."""
    return 42 if ports.team == 0 else "forty-two"  # type: ignore[return-value]


def blocking(task: Task, ports: OpenPorts) -> str:
    """No coroutine."""
    return ""


async def three_of(task: Task, ports: OpenPorts, further: object) -> str:
    """Wants more than a team is given."""
    return ""


async def asking(task: Task, ports: OpenPorts) -> str:
    """Asks for ever, and takes a failed call for an answer."""
    while True:
        await ports.ask("?")
