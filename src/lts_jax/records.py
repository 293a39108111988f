"""Records of the text side: frozen, typed, without behaviour. Nothing here imports jax, or more than numbers' names.

One rollout is read top to bottom: a `Task` is given to K teams; each team takes `Step`s; after each step the
controller takes a `Decision`; an admitted step becomes a `MemoryEntry`; a `Pull` records that a team asked for an
entry's value; teams give `Answer`s; the graded answers are `Outcome`s; all of it is one `Rollout`, and the G rollouts
of one task under one controller are a `RolloutGroup`. Where a memory can be edited, entries end by `Edit`s and stay
in the log.

Times are seconds on the rollout's own clock, zero at the start of the task. Money is US dollars.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from lts_jax.actions import ACTIONS, DELETE, NO_TARGET, UPDATE

EDITS = (UPDATE, DELETE)
"""Actions of a decision that end an entry, and so must say which."""

EARLIER = -1
"""Team and step of an entry that an earlier task left: no team of the rollout wrote it."""

SCHEMA_VERSION = 2  # of the run folder; a folder of another version is refused, not guessed at


class StopReason(StrEnum):
    """Why a team, or a model call, ended. Expected failures are values, not exceptions."""

    SATISFIED = "satisfied"  # the progress ledger says the request is satisfied
    ROUND_LIMIT = "round_limit"
    REPLAN_LIMIT = "replan_limit"
    TIME_LIMIT = "time_limit"  # the deadline of the rollout, or of the team
    BUDGET = "budget"  # tokens, dollars or seconds of the run are used up
    MODEL_ERROR = "model_error"  # the endpoint failed for good (after retries)
    CANCELLED = "cancelled"  # another team answered first, or the quorum was reached
    CRASHED = "crashed"  # a programming error inside one team; the others go on


class Origin(StrEnum):
    """Where the content of a memory entry came from."""

    USER = "user"  # the request itself
    MODEL = "model"  # a model's own words
    TOOL = "tool"  # a program that ran here
    FILE = "file"
    WEB = "web"
    MCP = "mcp"  # a server of somebody else's, whatever it had read
    UNKNOWN = "unknown"  # records made before origins were kept


class Trust(StrEnum):
    """How far a text is trusted, lowest first. A text made from others is trusted as the least trusted of them."""

    UNTRUSTED = "untrusted"  # holds, or was written after reading, what an outsider wrote
    OWN = "own"  # made here, by a model or a program that read nothing from outside
    TRUSTED = "trusted"  # the user's


@dataclass(frozen=True, slots=True)
class Task:
    """One question with its reference answer.

    `answer` is the reference in the AssistantBench convention (one answer per line, one JSON object per line), or
    None where the split withholds it. It never reaches a prompt.
    """

    task_id: str
    question: str
    answer: str | None
    split: str = "train"  # or "validation", "test"
    family: str = ""  # question family of the offline world, or the benchmark's name
    difficulty: str = ""  # "easy" | "medium" | "hard"
    scoring: str = "assistantbench"  # or gaia, exact, f1, or a function as mine.py:function
    attachments: tuple[str, ...] = ()  # names of files that the file surfer can open
    level: int = 0  # 1, 2 or 3 in GAIA; 0 where the benchmark has no levels
    attachment_paths: tuple[str, ...] = ()  # where the attachments lie on this machine, in their order; never shown
    told: tuple[str, ...] = ()  # said before the question, and gone from every context when it is asked


@dataclass(frozen=True, slots=True)
class Message:
    """One chat message. `role` is "system", "user" or "assistant"; `name` is the speaker inside a team."""

    role: str
    content: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One call of a chat model: what it said, what it cost, how it ended. `error` is empty on success.

    `thought` is what a reasoning model wrote before it spoke; nobody reads it but who reads the record. `is_cut` says
    that a limit of tokens, or a filter, ended the reply before the model did.
    """

    purpose: str  # "facts", "plan", "ledger", "act", "summarize", "select", "answer", "aggregate", "judge", ...
    reply: str
    prompt_tokens: int
    completion_tokens: int
    model: str = ""
    team: int = -1  # -1: the call belongs to no team (the aggregator)
    step: int = -1
    started_seconds: float = 0.0
    seconds: float = 0.0
    usd: float = 0.0
    attempts: int = 1
    error: str = ""
    thought: str = ""
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool returned. `failed` marks tracebacks, refusals and empty replies; they are observations too."""

    text: str
    failed: bool = False
    tool: str = ""
    seconds: float = 0.0
    source: str = ""  # URL or path that the text came from in the end, if it is not the one asked for


@dataclass(frozen=True, slots=True)
class OwnTool:
    """A tool that the user brought, or that works on a team's own memory or thread, as teams are told of it."""

    name: str
    arguments: tuple[str, ...]
    signature: str  # "tide(port: str, year: int = 2024) -> float"
    description: str  # its docstring
    works_on: Literal["world", "memory", "thread"] = "world"


@dataclass(frozen=True, slots=True)
class Step:
    """One agent turn of a team. The step triplet that the controller sees is (instruction, summary, output)."""

    team: int
    step: int  # 0, 1, 2, ... within the team
    agent: str  # "WebSurfer", "FileSurfer", "Coder", "ComputerTerminal"
    instruction: str  # u_t: what the agent was asked
    action: str  # the tool call or code, as text; empty for a plain reply
    output: str  # o_t: the raw reply
    summary: str = ""  # s_t: 15-20 words; empty while there is none
    started_seconds: float = 0.0
    finished_seconds: float = 0.0
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """The controller's answer for one step. `action` 0 rejects, 1 admits; `log_prob` is of the taken action.

    Where a memory can be edited, 2 replaces the entry `target` by the step and 3 ends it (`lts_jax.actions`). An edit
    of an entry that had ended meanwhile is refused: the decision stands in the record, and no edit does.
    """

    team: int
    step: int
    action: int
    log_prob: float
    admit_probability: float
    num_keys: int  # entries committed before this decision: the first `num_keys` of the rollout's entries
    sequence: int  # order of the decisions of one rollout
    seconds: float
    entry: int = -1  # id of the admitted entry, or -1
    controller: str = ""  # name and version of the controller that decided
    target: int = NO_TARGET  # id of the entry that an edit is of, or -1
    num_edits: int = -1  # edits made before this decision; -1: those of decisions with a lower sequence

    def __post_init__(self) -> None:
        check_target("Decision", self.action, self.target)


def check_target(where: str, action: int, target: int) -> None:
    """Refuse an edit that does not say what it is of, and a target of what is no edit.

    Raises:
        ValueError: one line that begins with `where`.
    """
    if action in EDITS and target < 0:
        raise ValueError(
            f"{where}.target: expected the id of an entry, as the action is {ACTIONS[action]}, got {target}"
        )
    if action not in EDITS and target != NO_TARGET:
        raise ValueError(f"{where}.target: expected {NO_TARGET} where the action is no edit, got {target}")


@dataclass(frozen=True, slots=True)
class Edit:
    """The end of an entry: taken out, or replaced by a newer one, its `successor`. Both stay in the log."""

    kind: Literal["update", "delete"]
    entry: int  # id of the entry that ended
    successor: int | None  # id of the entry in its place; None for a deletion
    team: int
    step: int
    seconds: float
    sequence: int  # of the decision that made it; of a drawer: its place among the drawer's edits

    def __post_init__(self) -> None:
        if self.kind not in ("update", "delete"):
            raise ValueError(f"Edit.kind: expected update or delete, got {self.kind!r}")
        if self.entry < 0 or self.sequence < 0:
            raise ValueError(f"Edit.entry, Edit.sequence: expected from 0, got {self.entry} and {self.sequence}")
        if self.kind == "delete" and self.successor is not None:
            raise ValueError(f"Edit.successor: expected None for a deletion, got {self.successor}")
        if self.kind == "update" and (self.successor is None or self.successor <= self.entry):
            raise ValueError(f"Edit.successor: expected an id after {self.entry} for an update, got {self.successor}")


@dataclass(frozen=True, slots=True)
class MemoryEntry:
    """One key/value pair of the memory bank with its origin. Ids are 0, 1, 2, ... in order of admission.

    `parents` are the entries that the writing team had pulled before, `seen` the origins ("web:URL", "file:NAME",
    "tool:NAME") that it had read itself up to this step. `trust` is the lowest over the own origin, these, and parents.
    What an earlier task left comes first, at zero seconds, with team and step `EARLIER`.
    """

    entry: int
    key: str
    value: str
    team: int
    step: int
    seconds: float
    origin: Origin = Origin.UNKNOWN
    source: str = ""  # URL, file or tool; the agent's name where the origin is a model
    trust: Trust = Trust.UNTRUSTED
    parents: tuple[int, ...] = ()
    seen: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pull:
    """A team asked for the value of an entry before taking its step number `step`."""

    entry: int
    reader: int  # team that pulled
    writer: int  # team that wrote the entry
    step: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Choice:
    """What a reader other than the team's own model was offered before a step, what it chose, and what was taken."""

    team: int
    step: int
    seconds: float
    offered: tuple[int, ...]  # entries, in order of admission
    chosen: tuple[int, ...]  # in the reader's order; numbers of no entry that was offered are left out
    scores: tuple[float, ...]  # of the chosen ones; empty where the reader gives none
    taken: tuple[int, ...]  # what of it was within the limits and still there
    log_prob: float = 0.0
    instruction: str = ""  # that the reader went by


@dataclass(frozen=True, slots=True)
class Drawer:
    """A memory that one team keeps for itself, with ids of its own, and what became of it."""

    team: int
    entries: tuple[MemoryEntry, ...]
    edits: tuple[Edit, ...] = ()
    pulls: tuple[Pull, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """A team's final answer, or the aggregated one (`team` = -1)."""

    team: int
    text: str
    seconds: float
    stop_reason: StopReason
    num_steps: int = 0
    num_replans: int = 0
    num_stalls: int = 0  # rounds that the ledger called stalled
    detail: str = ""  # error text when something failed


@dataclass(frozen=True, slots=True)
class Outcome:
    """A graded answer: `score` in [0, 1] (raw official value in strict mode), `answered` if there was an answer."""

    score: float
    answered: bool
    detail: str = ""  # how it was scored, or why it could not be


@dataclass(frozen=True, slots=True)
class Coordinates:
    """Where a rollout stands in a run. Every random number of the rollout is a function of these and a purpose."""

    seed: int
    iteration: int
    task: str
    rollout: int


@dataclass(frozen=True, slots=True)
class Rollout:
    """One execution of a task with K teams and a memory bank.

    `rewards` are NaN where no score could be computed (withheld answer, infrastructure failure). `revoked` names the
    revoked origins that reached a team; such a rollout teaches nothing.
    """

    task: Task
    coordinates: Coordinates
    num_teams: int
    steps: tuple[Step, ...]
    decisions: tuple[Decision, ...]
    entries: tuple[MemoryEntry, ...]
    pulls: tuple[Pull, ...]
    answers: tuple[Answer, ...]  # one a team, in team order
    final: Answer  # the aggregated answer
    outcome: Outcome  # of the final answer: R_agg
    first_outcome: Outcome  # of the team that finished first: R_first
    reward_agg: float
    reward_first: float
    seconds: float  # start of the task to the final answer
    calls: tuple[ModelCall, ...] = ()
    clock: str = "virtual"
    policy: str = ""
    stop_reason: StopReason = StopReason.SATISFIED
    revoked: tuple[str, ...] = ()
    listing_window: int | None = None  # newest keys that the policy listed; None: all of them
    edits: tuple[Edit, ...] = ()  # of the shared entries, in order
    drawers: tuple[Drawer, ...] = ()  # of the teams that keep one, in team order
    may_edit: bool = False  # whether the policy chose among edits too, whatever it chose
    reader: str = ""  # what chose among the shared values; empty: the team's own model
    choices: tuple[Choice, ...] = ()  # of that reader, in order

    @property
    def tokens(self) -> int:
        """Prompt and completion tokens of every call."""
        return sum(call.prompt_tokens + call.completion_tokens for call in self.calls)


@dataclass(frozen=True, slots=True)
class RolloutGroup:
    """G rollouts of one task under one controller."""

    task: Task
    iteration: int
    rollouts: tuple[Rollout, ...]
