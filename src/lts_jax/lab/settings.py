"""What is trained and measured: one record, and its numbers at a point of a sweep."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from typing import Any

from lts_jax.credit.check import needs
from lts_jax.credit.schemes import bind, scheme
from lts_jax.environments.contract import Environment
from lts_jax.environments.known import environment_of
from lts_jax.environments.replays import ReplaySettings
from lts_jax.errors import UserError
from lts_jax.learning.objective_parts import make_objective
from lts_jax.learning.settings import LearningSettings
from lts_jax.models.networks import NETWORKS, Network, make_network, network_part
from lts_jax.models.policy_network import PolicyNetwork
from lts_jax.models.several import Member, several
from lts_jax.parts import Part, change, make_part, settings_of

LEARNING_RATE = 0.01  # ten times the text side's default: a hundred updates of a small network, on cheap rollouts
_SMALL = {"width": 32, "num_layers": 1, "num_heads": 2}  # a set transformer's, where its text says nothing else


@dataclass(frozen=True, slots=True)
class LabSettings:
    """A training run in an environment and its evaluation.

    Numbers of `world`, `learning` and `credit` sweep in one program: a point names them `world.overlap`,
    `learning.sparsity_weight`, `credit.decay_seconds`.
    """

    environment: Any = "teams"  # a text, or an `Environment`
    shape: Any = None  # sizes; None takes the environment's own
    world: Any = None  # its numbers; None takes the environment's own
    learning: LearningSettings = field(default_factory=lambda: LearningSettings(learning_rate=LEARNING_RATE))
    replays: ReplaySettings = field(default_factory=ReplaySettings)  # for schemes that need them
    credit: str = "usage_aware"  # a scheme and its settings, as `time_discounted_usage(decay_seconds=120)`
    objective: str = "policy_gradient"  # with that credit; or admission_value, which asks no scheme
    network: str = "pooled"  # a network and its settings, as `set_transformer(width=64)`
    num_iterations: int = 100  # updates
    tasks_per_update: int = 8  # B, fresh tasks of an update
    num_rollouts: int = 5  # G; the paper
    num_evaluation_tasks: int = 128  # the same for every point of a seed; 0: curves alone, sooner compiled
    is_strict: bool = False  # points one after another, with the bits of a run alone; slower

    def __post_init__(self) -> None:
        """Refuse what cannot be trained, and fill in the environment's own sizes and numbers."""
        least = {"num_iterations": 1, "tasks_per_update": 1, "num_rollouts": 1, "num_evaluation_tasks": 0}
        for name, smallest in least.items():
            if getattr(self, name) < smallest:
                raise UserError(f"{name}: expected at least {smallest}, got {getattr(self, name)}")
        own = environment_of(self.environment)
        for name, default in (("shape", own.shape), ("world", own.params)):
            given = getattr(self, name)
            object.__setattr__(self, name, default if given is None else given)
            if not isinstance(getattr(self, name), type(default)):
                expected, got = type(default).__name__, type(given).__name__
                raise UserError(f"{name}: expected the {expected} of environment {own.name}, got a {got}")
        network_part(self.network, where="network")
        scheme(self.credit)
        make_objective(self.objective)
        for cost in ("token", "dollar"):
            if getattr(self.learning, f"{cost}_weight") != 0.0:
                raise UserError(
                    f"learning.{cost}_weight: the simulator counts no {cost}s; use lts train, or set it to 0"
                )


def world_of(settings: LabSettings) -> Environment:
    """The environment with the sizes and numbers of these settings."""
    return replace(environment_of(settings.environment), shape=settings.shape, params=settings.world)


def network_of(settings: LabSettings, *, value_head: bool = False, network: Network | None = None) -> PolicyNetwork:
    """The controller network, at the environment's embedding width and number of keys.

    Args:
        settings: of the run.
        value_head: whether the credit scheme needs values.
        network: one of your own, in place of the one that the settings name.

    Raises:
        UserError: what `models.networks.make_network` refuses, or no value head where one is needed.
    """
    given = settings.network if network is None else network
    supplied = {"embedding_width": settings.shape.embedding_width, "key_window": settings.shape.num_entries}
    supplied["value_head"] = value_head
    supplied |= _edits_of(settings.shape)
    if isinstance(given, str) and network_part(given, where="network").function is NETWORKS["set_transformer"]:
        supplied |= _SMALL
    made = make_network(given, where="network", **supplied)
    if getattr(settings.shape, "num_targets", 0) and made.decision_targets is None:
        name = environment_of(settings.environment).name
        expected = f"expected one that points at entries, as environment {name} asks for (set_transformer)"
        raise UserError(f"network: {expected}, got {made.name}")
    if value_head and made.packed_values is None:
        raise UserError(f"network: expected one with packed_values, as the credit scheme needs them, got {made.name}")
    agents = getattr(settings.shape, "agents", None)
    return made if agents is None else _one_each(made, agents)


@lru_cache(maxsize=16)
def _one_each(network: PolicyNetwork, agents: tuple[tuple[str, int], ...]) -> PolicyNetwork:
    """The same network for every agent, with parameters of its own; one object for equal arguments."""
    return several([Member(name, network, num_steps) for name, num_steps in agents])


def _edits_of(shape: Any) -> dict[str, Any]:
    """What a network must know of a world with more than two actions."""
    names = ("num_actions", "num_step_tokens")
    own = {name: getattr(shape, name) for name in names if hasattr(shape, name)}
    return own | ({"targets": True} if getattr(shape, "num_targets", 0) else {})


def at_point(settings: LabSettings, point: Mapping[str, float]) -> LabSettings:
    """The settings with a point's values in place; refuses unknown fields and wrong values in one line."""
    changed: dict[str, dict[str, Any]] = {"world": {}, "learning": {}, "credit": {}}
    known = {"world": number_names(settings.world), "learning": number_names(settings.learning)}
    for name, value in point.items():
        part, _, inner = name.partition(".")
        if part != "credit" and inner not in known.get(part, ()):
            raise UserError(f"{name}: expected a number of world, learning or credit, as world.overlap")
        changed[part][inner] = value
    world, learning = (replace(getattr(settings, part), **changed[part]) for part in known)
    world_of(settings).check(world, settings.shape)
    credit = settings.credit
    if changed["credit"]:
        credit = change(scheme(credit), where="credit", supplied=(), **changed["credit"]).text
    return replace(settings, world=world, learning=learning, credit=credit)


def number_names(record: Any) -> tuple[str, ...]:
    """Fields of a record of settings that can be swept inside one program."""
    kinds = {"float", float, "float | None", float | None}
    return tuple(one.name for one in fields(record) if one.type in kinds)


def credit_numbers(part: Part, point: Mapping[str, float]) -> dict[str, float]:
    """The numbers of a scheme that a program traces: those that are fractions, and those that the point names.

    `first_weight` is among them only if the text or the point sets it; else it is that of `learning`.

    Raises:
        UserError: the scheme has no such setting, or refuses its value.
    """
    named = {name.partition(".")[2]: value for name, value in point.items() if name.startswith("credit.")}
    if named:  # a function may have a name that no text can say
        name = getattr(part.function, "__name__", part.text)
        part = make_part(name, part.function, part.settings | named, where="credit")
    values = {one.name: part.settings.get(one.name, one.default) for one in settings_of(part.function)}
    if "first_weight" not in part.settings:
        values.pop("first_weight", None)
    numbers = {name: value for name, value in values.items() if type(value) is float or name in named}
    _try_numbers(part)
    return {name: float(value) for name, value in numbers.items()}


@lru_cache(maxsize=1024)
def _try_numbers(part: Part) -> None:
    try:
        needs(bind(part))  # a scheme refuses numbers of its own that cannot be meant
    except UserError as error:  # anew, without what jax adds to it
        raise UserError(str(error)) from None
