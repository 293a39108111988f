"""What the parts of a line are made from, in plain records that travel: no object, no key, no path of one machine."""

from dataclasses import dataclass

from lts_jax.systems.train_settings import TrainSettings


@dataclass(frozen=True, slots=True)
class LearnedOrder:
    """A learned policy, without its parameters."""

    training: TrainSettings  # that its network is made from
    greedy: bool


@dataclass(frozen=True, slots=True)
class Order:
    """What another process makes a line's `RolloutParts` from."""

    settings: TrainSettings  # of the run: world, tools, model, teams; keys are named in them, never written
    policy: str  # the text of a rule, or what the learned policy is called in records
    reading: str | None = None  # in place of the run's own
    learned: LearnedOrder | None = None
