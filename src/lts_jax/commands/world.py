"""`lts world`: look at the offline world."""

from collections import Counter
from dataclasses import dataclass

from lts_jax.errors import UserError
from lts_jax.records import Task
from lts_jax.tasks.almanac import AlmanacTools, build_almanac, describe_page, describe_task


@dataclass(frozen=True, slots=True)
class Command:
    """Print a task, a page, a search or a file of the offline world, or serve it; without any of them, its numbers."""

    task: str | None = None
    """Id of a task."""
    page: str | None = None
    """Address of a page."""
    search: str | None = None
    """Words to search for."""
    file: str | None = None
    """Name of a file."""
    serve: int | None = None
    """Port of this machine to serve the world at as a website, until interrupted; 0 takes a free one."""
    seed: int = 0
    """Seed of the world."""

    def __post_init__(self) -> None:
        if self.serve is not None and not 0 <= self.serve < 65536:
            raise UserError(f"serve: expected a port from 0 to 65535, got {self.serve}")


def run(command: Command) -> None:
    """Print what was asked for."""
    almanac = build_almanac(command.seed)
    tools = AlmanacTools(almanac)
    if command.task is not None:
        print(describe_task(find_task(command.task, command.seed)))
    if command.page is not None:
        try:
            print(describe_page(almanac, command.page))
        except ValueError as error:
            raise UserError(str(error)) from None
    if command.search is not None:
        print(tools.web_search(command.search).text)
    if command.file is not None:
        result = tools.open_file(command.file)
        if result.failed:
            raise UserError(f"no file {command.file!r}; `lts world` names some")
        print(result.text)
    if command.serve is not None:
        _serve(command.serve, command.seed)
    elif command.task is command.page is command.search is command.file is None:
        print(_numbers(command.seed))


def _serve(port: int, seed: int) -> None:
    from lts_jax.tasks.almanac.website import WorldSite

    try:
        site = WorldSite(build_almanac(seed), port=port)
    except OSError as error:
        raise UserError(f"port {port} cannot be taken: {error.strerror}") from None
    print(f"serving the offline world at {site.base_url}/ (stop with Ctrl-C)", flush=True)
    print(f"search, as SearXNG answers: {site.base_url}/search?q=WORDS&format=json", flush=True)
    site.serve_forever()


def find_task(task_id: str, seed: int) -> Task:
    """The task of that id. Raises `UserError` when there is none."""
    tasks = {task.task_id: task for task in build_almanac(seed).tasks}
    if task_id not in tasks:
        raise UserError(f"no task {task_id!r}; one is {next(iter(tasks))}")
    return tasks[task_id]


def _numbers(seed: int) -> str:
    almanac = build_almanac(seed)
    splits = Counter(task.split for task in almanac.tasks)
    families = Counter(task.family for task in almanac.tasks)
    trained = {task.family for task in almanac.tasks if task.split == "train"}
    lines = [
        f"offline world, seed {seed}: {len(almanac.pages)} pages, {len(almanac.files)} files, "
        f"{len(almanac.tasks)} tasks",
        "splits: " + ", ".join(f"{name} {count}" for name, count in splits.items()),
        "families: " + ", ".join(name if name in trained else f"{name} (test only)" for name in sorted(families)),
        "",
        "for example:",
        f"  lts world --task {almanac.tasks[0].task_id}",
        f'  lts world --search "{next(iter(almanac.pages.values())).title}"',
        f"  lts world --page {next(iter(almanac.pages))}",
        f"  lts world --file {min(almanac.files)}",
        "  lts world --serve 8080",
    ]
    return "\n".join(lines)
