"""LTS (Learning to Share, arXiv 2602.05965): parallel teams, a shared bank, a learned admission controller.

Wiring only: tasks of the offline world or a benchmark, Magentic-One teams, small set transformer or Qwen3 with LoRA,
usage-aware credit, stepwise policy gradient. `train_controller` trains in a run folder, resumably; `learned_policy` is
the controller as a policy.
"""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b

import jax

from lts_jax.admission.policy import AdmissionPolicy
from lts_jax.bridge.collate import CollateSettings, collate, stack
from lts_jax.bridge.decide import BatchedDecider, DeciderSettings
from lts_jax.bridge.decide_cached import CachedDecider
from lts_jax.bridge.learned import Decider, LearnedPolicy
from lts_jax.credit.contract import CreditFn
from lts_jax.credit.schemes import bind, scheme
from lts_jax.errors import UserError
from lts_jax.learning.checkpoint import latest, restore, save
from lts_jax.learning.loop import train
from lts_jax.learning.metrics import as_floats
from lts_jax.learning.settings import LearningSettings
from lts_jax.learning.state import TrainState, init_state
from lts_jax.learning.update import Metrics, make_update
from lts_jax.live.task_tools import TaskTools, ToolChoice, check_search
from lts_jax.llm.budget import Budget
from lts_jax.models.policy_network import Params, PolicyNetwork
from lts_jax.models.set_transformer import SetTransformerSettings
from lts_jax.plain import to_plain
from lts_jax.records import Rollout, RolloutGroup, Task
from lts_jax.rollouts.collect import CollectSettings, collect_groups, spend
from lts_jax.rollouts.rollout import RolloutParts, RolloutSettings
from lts_jax.rollouts.store import read_folder
from lts_jax.seeds import uniform
from lts_jax.storage import append_json_line, read_json, read_json_lines, write_json, write_text
from lts_jax.systems.controllers import (
    ControllerName,
    MeshSettings,
    Qwen3ControllerSettings,
    base_digest,
    make_mesh,
    make_network,
)
from lts_jax.systems.credit_needs import checked_needs, with_replays
from lts_jax.systems.run_folder import RunFolder, identity
from lts_jax.systems.task_source import TaskSettings, source_tasks
from lts_jax.systems.world import EncoderSettings, ModelSettings, almanac_tools, make_encoder, make_model
from lts_jax.trajectory import DecisionContext, Trajectory


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """Everything a training run depends on. Defaults are the paper's where it gives one."""

    seed: int = 0  # of every random number of the run
    world_seed: int = 0  # of the offline world
    num_tasks: int = 33  # training tasks; the paper has the 33 of AssistantBench's development split
    num_epochs: int = 5  # passes over the training tasks; the paper
    tasks_per_update: int = 3  # task groups per optimiser step; the paper does not say, ours
    credit: str = "usage_aware"  # usage_aware (LTS), group_relative, leave_one_out, reinforce, return_to_go, ...
    rollout: RolloutSettings = field(default_factory=RolloutSettings)
    collect: CollectSettings = field(default_factory=CollectSettings)
    learning: LearningSettings = field(default_factory=LearningSettings)
    controller: ControllerName = "set_transformer"  # or qwen3, the paper's
    network: SetTransformerSettings = field(default_factory=SetTransformerSettings)  # of the set transformer
    qwen3: Qwen3ControllerSettings = field(default_factory=Qwen3ControllerSettings)
    encoder: EncoderSettings = field(default_factory=EncoderSettings)
    mesh: MeshSettings = field(default_factory=MeshSettings)
    own_pulls_count: bool = False  # whether a team's pull of its own entry counts as use; open in the paper
    model: ModelSettings = field(default_factory=ModelSettings)
    tasks: TaskSettings = field(default_factory=TaskSettings)
    tools: ToolChoice = field(default_factory=ToolChoice)

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**32:
            raise UserError(f"seed must be from 0 to 2^32 - 1, got {self.seed}")
        for name in ("num_tasks", "num_epochs", "tasks_per_update"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.num_tasks % self.tasks_per_update:
            raise UserError(
                f"num_tasks must be a multiple of tasks_per_update = {self.tasks_per_update}, got {self.num_tasks}"
            )
        scheme(self.credit)
        per_pass = self.learning.tasks_per_pass or self.tasks_per_update
        if self.tasks_per_update % per_pass:
            raise UserError(
                f"learning.tasks_per_pass: expected a divisor of tasks_per_update = {self.tasks_per_update}, "
                f"got {per_pass}"
            )
        if per_pass % self.mesh.data:
            raise UserError(
                f"mesh.data: expected a divisor of the {per_pass} tasks of an update or pass, got {self.mesh.data}"
            )
        if self.controller not in ("set_transformer", "qwen3"):
            raise UserError(f"controller: expected set_transformer or qwen3, got {self.controller!r}")
        if self.controller == "qwen3" and self.qwen3.key_window < self.padding.max_entries:
            raise UserError(
                f"qwen3.key_window: expected at least {self.padding.max_entries}, the padded keys of a rollout, "
                f"got {self.qwen3.key_window}"
            )
        if self.controller == "set_transformer" and self.network.embedding_width != self.encoder.width:
            raise UserError(
                f"network.embedding_width must equal encoder.width = {self.encoder.width}, "
                f"got {self.network.embedding_width}"
            )

    @property
    def virtual_time(self) -> bool:
        """Whether nothing takes real time: the simulated model and the offline world's tools."""
        return self.model.is_simulated and not self.tools.is_live

    @property
    def num_iterations(self) -> int:
        """Updates of the whole run."""
        return self.num_epochs * self.num_tasks // self.tasks_per_update

    @property
    def padding(self) -> CollateSettings:
        """Padded sizes that hold any rollout of these settings, in multiples of 32."""
        num_steps = self.rollout.team.max_rounds + 1
        num_entries = self.rollout.num_teams * num_steps
        return CollateSettings(_round_up(num_steps), _round_up(num_entries), self.own_pulls_count)


@dataclass(frozen=True, slots=True)
class Progress:
    """What a caller may want to hear of: each finished rollout, and each finished iteration with its metrics."""

    on_rollout: Callable[[Rollout], None] | None = None
    on_iteration: Callable[[int, dict[str, float | None]], None] | None = None


def check_parts(settings: TrainSettings) -> None:
    """Make what a run needs from outside, so that what is missing is said before anything is written.

    Raises:
        UserError: a credit scheme that needs what this training has not, too few tasks, no key for the endpoint, a
            broken address, missing weights of the encoder.
    """
    _needs(settings, settings.credit, bind(scheme(settings.credit), first_weight=settings.learning.first_weight))
    source_tasks(settings.tasks, settings.world_seed, "train", settings.num_tasks)
    if settings.tasks.is_live:
        check_search(settings.tools)
    make_model(settings.model)
    make_encoder(settings.encoder)
    make_mesh(settings.mesh)
    network_of(settings)


def network_of(settings: TrainSettings) -> PolicyNetwork:
    """The controller's network.

    Raises:
        UserError: what its checkpoint lacks.
    """
    return make_network(settings.controller, settings.network, settings.qwen3, settings.encoder.width, settings.mesh)


def train_controller(
    folder: RunFolder, settings: TrainSettings, progress: Progress, *, credit: CreditFn | None = None
) -> TrainState:
    """Train in `folder`, going on from its last checkpoint if there is one. Returns the final state.

    `credit` is a scheme of your own, in place of the one that the settings name; one that breaks the contract of
    `credit.contract` is refused before anything is trained.
    """
    name = settings.credit if credit is None else "of your own"
    credit = credit or bind(scheme(settings.credit), first_weight=settings.learning.first_weight)
    needed = _needs(settings, name, credit)
    network = network_of(settings)
    name_credit(folder, credit)
    state, first = _resume(folder, settings)
    cut_metrics(folder, first)
    update = make_update(network, credit, settings.learning, make_mesh(settings.mesh))
    tasks = source_tasks(settings.tasks, settings.world_seed, "train", settings.num_tasks)
    decider = make_decider(settings, network, state.params, greedy=False)
    budget = Budget(settings.model.budget)
    if first and budget.is_limited:
        for group in read_folder(folder.rollouts):
            if group.iteration < first:  # later ones are counted when they are read again
                spend(budget, group.rollouts)
    collect = partial(_collect, folder, settings, tasks, decider, budget, progress, needed)

    def finish(iteration: int, state: TrainState, metrics: Metrics) -> None:
        finite = {name: value if math.isfinite(value) else None for name, value in as_floats(metrics).items()}
        line = {"iteration": iteration} | finite
        append_json_line(folder.metrics, line)
        save(
            folder.checkpoints,
            state,
            {"iteration": iteration + 1},
            _digest(settings),
            base_digest=base_digest(network),
        )
        if progress.on_iteration is not None:
            progress.on_iteration(iteration, line)

    return train(state, collect, update, finish, first=first, num_iterations=settings.num_iterations)


def trained_params(folder: RunFolder, settings: TrainSettings) -> Params:
    """Parameters of the last checkpoint.

    Raises:
        UserError: the run was never trained to its end.
    """
    state, iteration = _resume(folder, settings)
    if iteration < settings.num_iterations:
        raise UserError(
            f"{folder.path}: trained for {iteration} of {settings.num_iterations} iterations; "
            "run the training command again to finish it"
        )
    return state.params


def learned_policy(settings: TrainSettings, params: Params, *, greedy: bool = True) -> LearnedPolicy:
    """The trained controller as an admission policy; greedy at evaluation, as in the paper."""
    network = network_of(settings)
    return LearnedPolicy(make_decider(settings, network, params, greedy=greedy), f"learned:{network.name}")


def make_decider(settings: TrainSettings, network: PolicyNetwork, params: Params, *, greedy: bool) -> Decider:
    """The batched decision for these settings, from caches where the network has them; live models do not wait."""
    deciding = DeciderSettings(
        temperature=settings.learning.temperature,
        greedy=greedy,
        key_buckets=(*(size for size in (8, 32) if size < network.key_window), network.key_window),
        max_wait_seconds=None if settings.virtual_time else 0.01,
    )
    encoder = make_encoder(settings.encoder)
    if network.cache is None:
        return BatchedDecider(network, params, encoder, deciding)
    return CachedDecider(network, params, encoder, deciding, num_rows=settings.collect.num_in_flight)


def rollout_parts(settings: TrainSettings, policy: AdmissionPolicy, budget: Budget) -> RolloutParts:
    """The world, the model and a policy, for rollouts that share a budget."""
    return RolloutParts(
        model=make_model(settings.model),
        use_tool=almanac_tools(settings.world_seed),
        policy=policy,
        encoder=make_encoder(settings.encoder),
        virtual_time=settings.virtual_time,
        budget=budget,
        price=settings.model.price,
        tool_kit=TaskTools(settings.tools.live) if settings.tools.is_live else None,
    )


def _collect(
    folder: RunFolder,
    settings: TrainSettings,
    tasks: Sequence[Task],
    decider: Decider,
    budget: Budget,
    progress: Progress,
    needed: frozenset[str],
    iteration: int,
    params: Params,
) -> tuple[Trajectory, DecisionContext]:
    decider.replace_params(params)
    policy = LearnedPolicy(decider, f"learned:{decider.network.name}:{iteration}")
    parts = rollout_parts(settings, policy, budget)
    groups = collect_groups(
        tasks_of_iteration(tasks, settings, iteration),
        parts,
        settings.rollout,
        settings.collect,
        seed=settings.seed,
        iteration=iteration,
        folder=folder.rollouts,
        counter=decider,
        on_rollout=progress.on_rollout,
    )
    trajectory, context = _arrays(groups, settings, decider)
    if needed:
        trajectory = with_replays(needed, groups, trajectory, parts, settings.rollout, settings.padding, decider)
    return trajectory, context


def tasks_of_iteration(tasks: Sequence[Task], settings: TrainSettings, iteration: int) -> list[Task]:
    """The task groups of one update: each epoch goes through all tasks, in an order shuffled by (seed, epoch)."""
    per_epoch = len(tasks) // settings.tasks_per_update
    epoch, place = divmod(iteration, per_epoch)
    order = sorted(range(len(tasks)), key=lambda index: _shuffle(settings.seed, epoch, tasks[index].task_id))
    chosen = order[place * settings.tasks_per_update : (place + 1) * settings.tasks_per_update]
    return [tasks[index] for index in chosen]


def _arrays(
    groups: Sequence[RolloutGroup], settings: TrainSettings, decider: Decider
) -> tuple[Trajectory, DecisionContext]:
    return stack([collate(group, decider.texts, settings.padding) for group in groups])


def _resume(folder: RunFolder, settings: TrainSettings) -> tuple[TrainState, int]:
    """The state of the last checkpoint and the iteration to go on with; a fresh state and 0 without one."""
    network = network_of(settings)
    fresh = init_state(network, settings.learning, jax.random.key(settings.seed))
    if latest(folder.checkpoints) is None:
        return fresh, 0
    state, cursor = restore(
        folder.checkpoints, fresh, config_digest=_digest(settings), base_digest=base_digest(network)
    )
    return state, int(cursor["iteration"])


def cut_metrics(folder: RunFolder, first: int) -> None:
    """Take back the metric lines of iterations that will be run again, from `first` on."""
    lines = read_json_lines(folder.metrics)
    kept = [line for line in lines if line["iteration"] < first]
    if len(kept) != len(lines):
        write_text(folder.metrics, "".join(json.dumps(line) + "\n" for line in kept))


def name_credit(folder: RunFolder, credit: CreditFn) -> None:
    """Write down which credit function trains this run, with its bound settings.

    Raises:
        UserError: the run was begun with another one.
    """
    function, bound = (credit.func, credit.keywords) if isinstance(credit, partial) else (credit, {})
    name = f"{function.__module__}.{function.__qualname__}"
    named = {"function": name, "settings": {key: bound[key] for key in sorted(bound)}}
    if not folder.credit.exists():
        write_json(folder.credit, named)
    elif read_json(folder.credit) != named:
        raise UserError(f"{folder.path}: trained with other credit than {name}; choose another run folder")


def _digest(settings: TrainSettings) -> str:
    return blake2b(json.dumps(identity(to_plain(settings))).encode(), digest_size=16).hexdigest()


def _needs(settings: TrainSettings, name: str, credit: CreditFn) -> frozenset[str]:
    return checked_needs(
        name,
        credit,
        num_teams=settings.rollout.num_teams,
        has_value_head=settings.controller == "set_transformer" and settings.network.value_head,
        is_simulated=settings.virtual_time,
    )


def _shuffle(seed: int, epoch: int, task_id: str) -> float:
    return uniform(seed, epoch, task_id, "order")


def _round_up(count: int, multiple: int = 32) -> int:
    return -(-count // multiple) * multiple
