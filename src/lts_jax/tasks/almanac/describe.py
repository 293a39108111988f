"""Tasks and pages as text for people: what `lts world` prints."""

from lts_jax.records import Task
from lts_jax.tasks.almanac.records import Almanac


def describe_task(task: Task) -> str:
    """A task with its reference answer."""
    lines = [
        f"{task.task_id}  ({task.family}, {task.difficulty}, {task.split})",
        f"Question: {task.question}",
        *(f"Attachment: {name}" for name in task.attachments),
        "Answer: " + ("(withheld)" if task.answer is None else task.answer.replace("\n", "\n        ")),
    ]
    return "\n".join(lines)


def describe_page(almanac: Almanac, url: str) -> str:
    """A page in full, and whether it refuses visits.

    Raises:
        ValueError: if the world has no page at `url`.
    """
    page = almanac.pages.get(url.strip().strip("<>").rstrip("/"))
    if page is None:
        raise ValueError(f"url must be the address of a page of this world, got {url!r}; `web_search` finds addresses")
    note = f"(a visit is refused: {page.refusal.splitlines()[0]})\n\n" if page.refusal else ""
    return note + page.text
