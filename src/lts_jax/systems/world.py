"""What teams work on and with: the offline world and its tools, a language model."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lts_jax.bridge.local_model import PREFIX
from lts_jax.errors import UserError
from lts_jax.llm.budget import BudgetSettings, Price
from lts_jax.llm.chat import ChatModel
from lts_jax.llm.openai_settings import JsonMode, check_json_modes
from lts_jax.llm.pace import PacedModel
from lts_jax.llm.session import check_session_header
from lts_jax.llm.simulated import SimulatedModel, make_weaknesses, weaknesses_part
from lts_jax.plain import to_plain
from lts_jax.records import Task, ToolResult
from lts_jax.tasks.almanac import AlmanacTools, build_almanac

if TYPE_CHECKING:
    from lts_jax.bridge.local_model import LocalSettings
    from lts_jax.llm.openai_client import OpenAIChatSettings


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """The language model behind every agent."""

    name: str = (
        "simulated"  # "simulated"; a model's name at an OpenAI-compatible endpoint; or jax:FOLDER, in this process
    )
    base_url: str | None = None  # of the endpoint; None is OpenAI's own, or no endpoint for the simulated model
    api_key_variable: str = "OPENAI_API_KEY"  # environment variable that holds the key
    temperature: float | None = None  # None: the endpoint's default
    max_completion_tokens: int | None = None  # None: the endpoint's default
    call_deadline_seconds: float = 600.0  # of one call with all its retries
    attempt_deadline_seconds: float = 240.0  # of one attempt; a slow local model may need more
    json_modes: tuple[JsonMode, ...] = ("json_object",)  # tried in turn where refused: also json_schema, tool; or none
    stream: bool = False  # replies in pieces, for gateways that cut a silent line
    max_retries: int = 5
    max_in_flight: int = 64  # calls at one time
    max_calls_per_second: float | None = None  # that begin, of all workers together; None: as many as there are
    session_header: str | None = None  # of each call, as x-session-id: which task it is of, for routers by sessions
    record_folder: str | None = None  # keep every finished call there and never repeat one
    replay_only: bool = False  # answer from the record folder alone; a call that is not there fails
    weaknesses: str = "omission"  # of the simulated model: or commission, small; single ones as omission(misreads=0.1)
    price: Price = field(default_factory=Price)
    budget: BudgetSettings = field(default_factory=BudgetSettings)

    def __post_init__(self) -> None:
        for name in ("call_deadline_seconds", "attempt_deadline_seconds"):
            if not getattr(self, name) > 0:
                raise UserError(f"model.{name}: expected more than 0, got {getattr(self, name)}")
        check_json_modes(self.json_modes, where="model.json_modes")
        check_session_header(self.session_header, where="model.session_header")
        if self.max_retries < 0 or self.max_in_flight < 1:
            raise UserError(
                "model.max_retries, model.max_in_flight: expected at least 0 and 1, "
                f"got {self.max_retries} and {self.max_in_flight}"
            )
        if self.max_calls_per_second is not None and not self.max_calls_per_second > 0:
            got = self.max_calls_per_second
            raise UserError(f"model.max_calls_per_second: expected None or more than 0, got {got}")
        if self.temperature is not None and not 0.0 <= self.temperature <= 2.0:
            raise UserError(f"model.temperature: expected from 0 to 2, got {self.temperature}")
        if self.max_completion_tokens is not None and self.max_completion_tokens < 1:
            raise UserError(f"model.max_completion_tokens: expected at least 1, got {self.max_completion_tokens}")
        if self.replay_only and self.record_folder is None:
            raise UserError("model.replay_only needs model.record_folder, the folder of recorded calls")
        part = weaknesses_part(self.weaknesses, where="model.weaknesses")
        object.__setattr__(self, "weaknesses", part.text)  # canonical: equal weaknesses make equal runs

    @property
    def is_simulated(self) -> bool:
        """Whether calls take virtual time."""
        return self.name == "simulated"

    @property
    def is_local(self) -> bool:
        """Whether the model is computed in this process."""
        return self.name.startswith(PREFIX) and self.base_url is None


@lru_cache(maxsize=8)
def make_model(settings: ModelSettings) -> ChatModel:
    """The model that the settings name; one object for equal settings, so that its connections are shared."""
    model, options = bare_model(settings)
    return _record(settings, model, options)


def bare_model(settings: ModelSettings) -> tuple[ChatModel, str]:
    """The model that the settings name, without a journal; and what else decides its replies, as a journal says it."""
    if settings.is_simulated and settings.base_url is None:
        weaknesses = make_weaknesses(settings.weaknesses, where="model.weaknesses")
        model: ChatModel = SimulatedModel(weaknesses)
        options = json.dumps(to_plain(weaknesses))
    elif settings.is_local:
        from lts_jax.bridge.local_model import LocalModel, local_options

        local = local_settings(settings)
        model = LocalModel(local)
        options = json.dumps(local_options(local)) if settings.record_folder is not None else ""
    else:
        from lts_jax.llm.openai_client import OpenAIChatModel, request_options

        endpoint = endpoint_settings(settings)
        model, options = _paced(settings, OpenAIChatModel(endpoint)), request_options(endpoint)
    return model, options


def _paced(settings: ModelSettings, model: ChatModel) -> ChatModel:
    rate = settings.max_calls_per_second
    return model if rate is None else PacedModel(model, rate)


def own_model(settings: ModelSettings, model: Any) -> ChatModel:
    """A caller's own model, or `openai.AsyncOpenAI` client, under the journal that the settings name.

    Raises:
        UserError: neither; or a client without `model.name`, the model that it is to ask.
    """
    from lts_jax.llm.client_model import ClientModel, is_client
    from lts_jax.llm.openai_settings import request_options

    if is_client(model):
        if settings.is_simulated:
            raise UserError("model.name: expected the name of the model that the client is to ask, got 'simulated'")
        endpoint = endpoint_settings(
            replace(settings, base_url=str(getattr(model, "base_url", "")) or settings.base_url)
        )
        return _record(settings, _paced(settings, ClientModel(model, endpoint)), request_options(endpoint))
    if not hasattr(model, "complete"):
        kind = type(model).__name__
        raise UserError(f"model: expected a ChatModel or an AsyncOpenAI client, got a value of type {kind}")
    return _record(settings, _paced(settings, model), "")


def _record(settings: ModelSettings, model: ChatModel, options: str) -> ChatModel:
    if settings.record_folder is None:
        return model
    from lts_jax.llm.recorded import ReplayModel

    fallback = None if settings.replay_only else model
    return ReplayModel(settings.record_folder, fallback, name=model.name, options=options)


def local_settings(settings: ModelSettings) -> "LocalSettings":
    """What the settings say of a model in this process.

    Raises:
        UserError: no such folder.
    """
    from lts_jax.bridge.local_model import LocalSettings

    folder = settings.name.removeprefix(PREFIX)
    if not Path(folder).is_dir():
        raise UserError(
            f"model.name: {folder or 'FOLDER'}: no such folder; `lts models get smollm2 --to smollm2` makes one for "
            f"--model.name {PREFIX}smollm2"
        )
    given: dict[str, Any] = {
        "temperature": settings.temperature,
        "max_completion_tokens": settings.max_completion_tokens,
        "call_deadline_seconds": settings.call_deadline_seconds,
    }
    return LocalSettings(folder, **{name: value for name, value in given.items() if value is not None})


def endpoint_settings(settings: ModelSettings) -> "OpenAIChatSettings":
    """What the settings say of an endpoint."""
    from lts_jax.llm.openai_client import OpenAIChatSettings

    return OpenAIChatSettings(
        model=settings.name,
        base_url=settings.base_url,
        api_key_variable=settings.api_key_variable,
        temperature=settings.temperature,
        max_completion_tokens=settings.max_completion_tokens,
        call_deadline_seconds=settings.call_deadline_seconds,
        attempt_deadline_seconds=settings.attempt_deadline_seconds,
        json_modes=settings.json_modes,
        session_header=settings.session_header,
        stream=settings.stream,
        max_retries=settings.max_retries,
        max_in_flight=settings.max_in_flight,
    )


@lru_cache(maxsize=4)
def almanac_tools(seed: int) -> Callable[[str, Mapping[str, Any]], ToolResult]:
    """The offline world's tools by name. A call that does not fit a tool is a failed result, as a real tool's is."""
    tools = AlmanacTools(build_almanac(seed))
    by_name: dict[str, Callable[..., ToolResult]] = {
        "web_search": tools.web_search,
        "visit_url": tools.visit_url,
        "find_on_page": tools.find_on_page,
        "open_file": tools.open_file,
        "list_files": tools.list_files,
        "run_python": tools.run_python,
    }

    def use_tool(tool: str, arguments: Mapping[str, Any]) -> ToolResult:
        if tool not in by_name:
            return ToolResult(f"There is no tool {tool!r}", failed=True, tool=tool)
        try:
            return by_name[tool](**arguments)
        except (TypeError, AttributeError) as error:
            return ToolResult(f"{type(error).__name__}: {error}", failed=True, tool=tool)

    return use_tool


def almanac_tasks(seed: int, split: str, num_tasks: int | None = None) -> tuple[Task, ...]:
    """Tasks of a split, taken in turn from each (family, difficulty), so that any number of them is balanced.

    Raises:
        UserError: fewer tasks than asked for.
    """
    tasks = build_almanac(seed).tasks_of(split)
    if num_tasks is None:
        return tasks
    if num_tasks > len(tasks):
        raise UserError(f"the {split} split has {len(tasks)} tasks, {num_tasks} were asked for")
    kinds: dict[tuple[str, str], list[Task]] = {}
    for task in tasks:
        kinds.setdefault((task.family, task.difficulty), []).append(task)
    taken: list[Task] = []
    for depth in range(len(tasks)):
        taken += [group[depth] for group in _interleave(list(kinds.values())) if depth < len(group)]
        if len(taken) >= num_tasks:
            break
    return tuple(taken[:num_tasks])


def _interleave(groups: list[list[Task]]) -> list[list[Task]]:
    """Groups in an order in which neighbours differ in family and difficulty."""
    difficulties = sorted({group[0].difficulty for group in groups})
    families = sorted({group[0].family for group in groups})
    place = {
        (family, difficulty): ((row + column) % len(difficulties), row)
        for row, family in enumerate(families)
        for column, difficulty in enumerate(difficulties)
    }
    return sorted(groups, key=lambda group: place[group[0].family, group[0].difficulty])
