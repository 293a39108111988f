"""The parts that a run works with, made from its settings or brought along as objects."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from lts_jax.admission.offline_truth import rightly_stated
from lts_jax.admission.policy import AdmissionPolicy
from lts_jax.bridge.learned import LearnedPolicy
from lts_jax.bridge.trained_reader import reader_scorer
from lts_jax.credit.contract import CreditFn
from lts_jax.credit.schemes import bind, scheme
from lts_jax.errors import UserError
from lts_jax.learning.objective_parts import AdmissionValue, Objective, make_objective
from lts_jax.learning.state import TrainState, init_state
from lts_jax.live.mcp_tools import listed_tools
from lts_jax.llm.budget import Budget
from lts_jax.llm.chat import ChatModel
from lts_jax.memory.encoder_parts import make_encoder
from lts_jax.memory.encoders import CachedEncoder
from lts_jax.memory.making_readers import Reader, make_reader
from lts_jax.memory.reading_policy import ReadingPolicy
from lts_jax.models.networks import Network, make_network
from lts_jax.models.policy_network import PolicyNetwork, need_lives
from lts_jax.models.qwen3_folder import base_digest, make_mesh
from lts_jax.records import Task
from lts_jax.rollouts.rollout import RolloutParts
from lts_jax.systems.credit_needs import check_needs
from lts_jax.systems.orders import LearnedOrder, Order
from lts_jax.systems.task_source import Part, source_tasks
from lts_jax.systems.team_tools import TeamTools, check_questions, team_tools
from lts_jax.systems.train_settings import TrainSettings
from lts_jax.systems.world import almanac_tasks, make_model, own_model
from lts_jax.tasks.own import SIDES
from lts_jax.teams.own_team import own_team
from lts_jax.teams.parallel import RunTeam
from lts_jax.teams.ports import ToolKit, UseTool
from lts_jax.teams.team import run_team

if TYPE_CHECKING:
    import jax
    import optax


@dataclass(frozen=True, slots=True)
class Brought:
    """What a caller brings as objects, in place of what the settings name. None: the settings decide."""

    credit: CreditFn | None = None
    network: Network | None = None
    encoder: Any = None  # with `dim`, `name`, `encode`
    optimizer: "optax.GradientTransformation | None" = None
    model: Any = None  # a `ChatModel`, or an `openai.AsyncOpenAI` client; on the real clock
    tasks: Sequence[Task] | None = None  # of all splits; training takes those of split "train"
    tools: UseTool | ToolKit | Sequence[Callable[..., Any]] | None = None  # all of them, or functions beside the others
    run_team: RunTeam | None = None  # what works as one team


@dataclass(frozen=True, slots=True)
class RunParts:
    """Everything that a run works with. `names` are the canonical texts: what makes this run this run."""

    settings: TrainSettings
    brought: Brought
    names: Mapping[str, str]
    credit: CreditFn
    objective: Objective
    network: PolicyNetwork
    encoder: CachedEncoder
    model: ChatModel

    @property
    def virtual_time(self) -> bool:
        """Whether nothing takes real time."""
        return self.settings.virtual_time and self.brought.model is None

    def tasks(self, part: Part, num_tasks: int | None = None) -> tuple[Task, ...]:
        """The tasks of a part, the first or balanced `num_tasks` of them.

        Raises:
            UserError: there are fewer, or the source cannot be read.
        """
        own = self.brought.tasks
        if own is None:
            return source_tasks(self.settings.tasks, self.settings.world_seed, part, num_tasks)
        found = tuple(task for task in own if task.split == part)
        if num_tasks is not None and part == "train" and num_tasks > len(found):
            raise UserError(f"num_tasks: expected at most the {len(found)} tasks of split train, got {num_tasks}")
        if not found:
            raise UserError(f"tasks: expected some of split {part!r}, got none")
        return found if part == "test" else found[:num_tasks]

    def reader(self, reader: Reader, *, where: str = "reading") -> ReadingPolicy | None:
        """The reader of a text, a function or a policy; None where the team's model chooses.

        Raises:
            UserError: as `make_reader`; or the one that knows the offline world, on other tasks.
        """
        if isinstance(reader, str) and reader.partition("(")[0] == "oracle" and self.foreign:
            raise UserError(f"{where}: {reader} knows the offline world alone, got {self.foreign}")
        truth = partial(rightly_stated, world_seed=self.settings.world_seed)
        scorer = partial(reader_scorer, encoder=self.encoder)
        supplied = {"encoder": self.encoder, "rightly_stated": truth, "trained_scorer": scorer}
        return make_reader(reader, supplied, where=where)

    def rollout_parts(self, policy: AdmissionPolicy, budget: Budget, reading: str | None = None) -> RolloutParts:
        """The world, the model and a policy, for rollouts that share a budget; `reading` in place of the run's own."""
        settings, tools = self.settings, self._tools()
        return RolloutParts(
            model=self.model,
            use_tool=tools.use_tool,
            policy=policy,
            encoder=self.encoder,
            virtual_time=self.virtual_time,
            budget=budget,
            price=settings.model.price,
            run_team=self._run_team(),
            tool_kit=tools.tool_kit,
            own_tools=tools.own_tools,
            is_offline=self._model_is_simulated and self.brought.tools is None and tools.tool_kit is None,
            reader=self.reader(settings.reading if reading is None else reading),
            order=self._order(policy, reading),
        )

    def _run_team(self) -> RunTeam:
        """What works as one team: what was brought, what the settings name, or our own engine."""
        rollout = self.settings.rollout
        if self.brought.run_team is not None:
            return self.brought.run_team
        return run_team if rollout.engine is None else own_team(rollout.engine, deadline_seconds=rollout.engine_seconds)

    def _order(self, policy: AdmissionPolicy, reading: str | None) -> Order | None:
        """What another process makes these parts from; None where a caller brought objects."""
        if any(getattr(self.brought, name) is not None for name in Brought.__slots__):
            return None
        if not isinstance(policy, LearnedPolicy):
            return Order(self.settings, policy.name, reading)
        if policy.training is None:
            return None
        learned = LearnedOrder(policy.training, policy.decider.settings.greedy)
        return Order(self.settings, policy.name, reading, learned)

    @property
    def _model_is_simulated(self) -> bool:
        """Whether the model is the simulated one of this process, which knows the messages alone."""
        model = self.settings.model
        return self.brought.model is None and model.is_simulated and model.base_url is None

    def _tools(self) -> TeamTools:
        brought, settings = self.brought.tools, self.settings
        if callable(brought):
            return TeamTools(brought)
        functions = brought if isinstance(brought, Sequence) else ()
        made = team_tools(settings.tools, functions, is_foreign=bool(self.foreign), world_seed=settings.world_seed)
        return made if brought is None or isinstance(brought, Sequence) else TeamTools(made.use_tool, brought)

    @property
    def tool_names(self) -> dict[str, str]:
        """A digest of what MCP servers listed, by which a run that goes on has the tools that it began with."""
        choice = self.settings.tools.mcp_choice
        if choice is None or not (self.brought.tools is None or isinstance(self.brought.tools, Sequence)):
            return {}
        listed = "\n".join(f"{tool.told.name} {tool.digest}" for tool in listed_tools(choice))
        return {"tools.mcp": blake2b(listed.encode(), digest_size=8).hexdigest()}

    @property
    def foreign(self) -> str:
        """What brought tasks that are not of the offline world, for a message; empty where none did."""
        if self.brought.tasks is None:
            return self.settings.tasks.foreign
        known = {task.question for part in SIDES for task in almanac_tasks(self.settings.world_seed, part)}
        return "" if all(task.question in known for task in self.brought.tasks) else "tasks"

    def check_world(self) -> None:
        """See that model and tools can know what the tasks ask for, and that the tools are there.

        Raises:
            UserError: one line; see `check_questions` and `team_tools`.
        """
        settings, brought = self.settings, self.brought.tools
        is_simulated = self._model_is_simulated
        if brought is None or isinstance(brought, Sequence):
            has_functions = bool(brought)
            check_questions(
                self.foreign,
                settings.tools,
                is_simulated=is_simulated,
                has_functions=has_functions,
                has_drawer=settings.rollout.drawer,
                has_engine=settings.rollout.engine is not None or self.brought.run_team is not None,
            )
        self._tools()

    def fresh_state(self, prng_key: "jax.Array") -> TrainState:
        """The state before the first update."""
        return init_state(self.network, self.settings.learning, prng_key, self.brought.optimizer, self.objective)

    @property
    def base_digest(self) -> str:
        """Of the frozen weights that the network stands on; empty without."""
        return base_digest(self.network)

    def check(self) -> frozenset[str]:
        """See that the run can begin; which replays its credit needs.

        Raises:
            UserError: one line: a credit scheme that breaks its contract or needs what this training has not, too few
                tasks, questions that model and tools cannot know, tools that are not there, a network that does not
                know of entries that end where values are merged.
        """
        if self.settings.rollout.values == "merged":
            need_lives(self.network)
        self.check_world()
        self.reader(self.settings.reading)
        self.tasks("train", self.settings.num_tasks)
        make_mesh(self.settings.mesh)
        if isinstance(self.objective, AdmissionValue):
            return frozenset()  # no credit scheme is asked
        return check_needs(
            self.names["credit"],
            self.credit,
            num_teams=self.settings.rollout.num_teams,
            has_value_head=self.network.packed_values is not None,
            is_simulated=self.virtual_time,
        )


def make_parts(settings: TrainSettings, brought: Brought = Brought()) -> RunParts:
    """Make every part of a run, so that what is missing is said before anything is written.

    Raises:
        UserError: one line: no key for the endpoint, a broken address, missing weights, a part that does not serve.
    """
    encoder = make_encoder(settings.encoder if brought.encoder is None else brought.encoder, settings.encoder_store)
    credit = scheme(settings.credit if brought.credit is None else brought.credit)
    network = make_network(
        settings.controller if brought.network is None else brought.network,
        embedding_width=encoder.dim,
        settings=settings.qwen3,
        mesh=settings.mesh,
    )
    names = {"credit": credit.text, "encoder": encoder.name, "controller": settings.controller}
    if brought.network is not None:
        names["controller"] = network.name
    for name in ("optimizer", "tools", "run_team"):
        if getattr(brought, name) is not None:
            names[name] = _name_of(getattr(brought, name))
    model = make_model(settings.model) if brought.model is None else own_model(settings.model, brought.model)
    if brought.model is not None:
        names["model"] = model.name
    if brought.tasks is not None:
        content = "\n".join(f"{task.task_id} {task.split} {task.question}" for task in brought.tasks)
        names["tasks"] = blake2b(content.encode(), digest_size=8).hexdigest()
    return RunParts(
        settings=settings,
        brought=brought,
        names=names,
        credit=bind(credit, first_weight=settings.learning.first_weight),
        objective=make_objective(settings.objective),
        network=network,
        encoder=encoder,
        model=model,
    )


def as_parts(training: TrainSettings | RunParts) -> RunParts:
    """The parts themselves, or those that settings name."""
    return training if isinstance(training, RunParts) else make_parts(training)


def _name_of(value: Any) -> str:
    """A name that is the same for the same object in another process."""
    if isinstance(getattr(value, "name", None), str):
        return value.name
    if isinstance(value, partial):
        return _name_of(value.func)
    if isinstance(value, Sequence) and hasattr(value, "_fields"):  # an optax transformation: its functions
        return _name_of(value[0])
    if isinstance(value, Sequence):
        return ", ".join(map(_name_of, value))
    kind: Callable[..., Any] = value if hasattr(value, "__qualname__") else type(value)
    return f"{kind.__module__}:{kind.__qualname__}"
