"""What of its team's thread a worker is shown: RCR-Router (arXiv 2508.04903), rebuilt.

For an agent of role R in stage S with budget B: argmax over sets C of sum_{m in C} alpha(m; R, S), subject to
sum tokens(m) <= B, over the items of the thread. The paper takes the best first; by value per token and exactly are
ours, and so are weights, tags and keywords. The agent's instruction is always shown, on top of the budget.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from lts_jax.errors import UserError
from lts_jax.llm.packing import by_density, exactly, greedily, in_order
from lts_jax.llm.relevance import RelevanceWeights, relevance, role_score, stage_score
from lts_jax.prompts import TOOL_USER
from lts_jax.records import Message
from lts_jax.seeds import uniform
from lts_jax.teams.thread_items import Item, Kind, items_of, put_together, without_conflicts

Mode = Literal["full", "static", "reports", "greedy", "density", "exact", "random"]
MODES: tuple[Mode, ...] = get_args(Mode)
PACKS = {"greedy": greedily, "density": by_density, "exact": exactly, "random": greedily}

Cosine = Callable[[str, Sequence[str]], Sequence[float]]
"""(text, others) -> the cosine of each with the text."""


@dataclass(frozen=True, slots=True)
class RoutingSettings:
    """How much of the thread a worker's call that acts or writes code is shown; orchestrators are shown all of it."""

    mode: Mode = "full"
    """full: all, as in Magentic-One. static: fixed kinds of items for each role, the newest first. reports: all kinds
    but what tools returned, for every role. By alpha: greedy takes the best first (the paper), density the best per
    token, exact the best set. random: any items, by chance."""
    budget_tokens: int | None = None  # of the items that are shown, estimated by length; none: no item is left out
    weights: RelevanceWeights = field(default_factory=RelevanceWeights)
    split_ledger: bool = False
    """Request, team, facts and plan of the task ledger are items of their own. Simulated teams are told apart by that
    ledger's text, so by default it is one item."""

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise UserError(f"routing.mode: expected one of {', '.join(MODES)}, got {self.mode!r}")
        if self.budget_tokens is not None and self.budget_tokens < 1:
            raise UserError(f"routing.budget_tokens: expected at least 1 or none, got {self.budget_tokens}")
        if self.mode == "full" and self.budget_tokens is not None:
            raise UserError(f"routing.budget_tokens: mode full leaves nothing out, got {self.budget_tokens}")


@dataclass(frozen=True, slots=True)
class Role:
    """What an agent looks for in a memory. Ours."""

    tags: frozenset[str]
    keywords: tuple[str, ...]
    stage: str
    static_kinds: tuple[Kind, ...]  # that it is shown in mode static


ROLES = {
    "WebSurfer": Role(
        frozenset({"web", "page"}), ("http", "page", "search", "lists", "site"), "gather",
        ("plan", "decision", "entity"),
    ),
    "FileSurfer": Role(
        frozenset({"file"}), ("file", ".csv", ".json", ".txt", "row"), "gather", ("plan", "decision", "entity")
    ),
    "Coder": Role(
        frozenset({"value", "code", "file"}), ("value", "found", "number", "updated", "print"), "compute",
        ("plan", "decision", "fact"),
    ),
    TOOL_USER: Role(frozenset({"tool"}), ("tool", "call", "memory", "keep"), "gather", ("plan", "decision", "fact")),
}  # fmt: skip
REPORTED: tuple[Kind, ...] = ("plan", "decision", "entity", "fact")
STAGES_OF_KIND: dict[Kind, tuple[str, ...]] = {
    "decision": ("gather", "compute"),
    "plan": ("gather", "compute"),
    "entity": ("gather",),
    "fact": ("gather", "compute"),
    "trace": ("gather",),
}


def route(agent: str, thread: Sequence[Message], settings: RoutingSettings, cosine: Cosine) -> Sequence[Message]:
    """What of a thread, which ends with its instruction, an agent is shown.

    Args:
        agent: who.
        thread: all of it.
        settings: how.
        cosine: of texts, for the nearness of an item to the instruction.

    Raises:
        UserError: an agent without a role.
    """
    if settings.mode == "full" or len(thread) < 2:
        return thread
    role = ROLES.get(agent)
    if role is None:
        raise UserError(f"routing: expected an agent among {', '.join(ROLES)}, got {agent!r}")
    *before, instruction = thread
    items = items_of(thread, split_ledger=settings.split_ledger)
    items = [item for item in items if item.message < len(before)]
    budget = settings.budget_tokens
    if settings.mode in ("static", "reports"):
        kinds = role.static_kinds if settings.mode == "static" else REPORTED
        fitting = [item for item in without_conflicts(items) if item.kind in kinds]
        newest = range(len(fitting) - 1, -1, -1)
        places = sorted(in_order(newest, [item.num_tokens for item in fitting], budget))
    elif budget is None:
        return thread
    else:
        fitting = without_conflicts(items)
        if settings.mode == "random":
            alphas = [1.0 - uniform("routed by chance", item.text, instruction.content) for item in fitting]
        else:
            alphas = alpha(role, fitting, instruction.content, settings.weights, cosine)
        places = PACKS[settings.mode](alphas, [item.num_tokens for item in fitting], budget)
    chosen = [fitting[place] for place in places]
    return [*put_together(before, chosen, split_ledger=settings.split_ledger), instruction]


def alpha(
    role: Role, items: Sequence[Item], instruction: str, weights: RelevanceWeights, cosine: Cosine
) -> list[float]:
    """alpha(m; R, S) of every item; see `llm.relevance`. An item's age is in rounds of its team."""
    near = (
        cosine(instruction, [item.text for item in items]) if items and weights.similarity > 0 else [0.0] * len(items)
    )
    newest = max((item.round for item in items), default=0)
    return [
        relevance(
            weights,
            role=role_score(item.text, item.tags, role.tags, role.keywords),
            stage=stage_score(STAGES_OF_KIND[item.kind], role.stage),
            age=newest - item.round,
            similarity=float(nearness),
        )
        for item, nearness in zip(items, near, strict=True)
    ]
