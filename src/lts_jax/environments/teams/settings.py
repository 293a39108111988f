"""What a simulated team process depends on: sizes that shape the program, and numbers that are traced through it."""

from dataclasses import dataclass, fields

import jax

from lts_jax.errors import UserError


@dataclass(frozen=True, slots=True)
class SimulatorShape:
    """Sizes of arrays. Another value compiles another program."""

    num_teams: int = 3  # K
    max_steps: int = 32  # T, steps of a team; `step_limit` may end it sooner
    num_nodes: int = 12  # nodes of a task's graph
    num_entries: int = 96  # N, admissions of one rollout that the bank can number; later ones are refused
    embedding_width: int = 16  # D
    max_pulls: int = 2  # values that one reading can pull
    bounded_bank: bool = False  # whether `capacity` counts; the paper's bank has no limit

    def __post_init__(self) -> None:
        """Refuse sizes that cannot be built."""
        least = {"embedding_width": NUM_CUES + 2, "num_teams": 1, "max_steps": 1, "num_entries": 1, "max_pulls": 1}
        for name, low in least.items():
            if getattr(self, name) < low:
                raise UserError(f"shape.{name}: expected at least {low}, got {getattr(self, name)}")
        if self.num_teams > 64:
            raise UserError(f"shape.num_teams: expected at most 64, got {self.num_teams}")
        if self.max_steps > 16384:  # a look's number is 64 times a team's step, below what other draws begin with
            raise UserError(f"shape.max_steps: expected at most 16384, got {self.max_steps}")
        if not 2 <= self.num_nodes <= 30:  # a team draws 32 words: its order, whether it slips, what it likes
            raise UserError(f"shape.num_nodes: expected from 2 to 30, got {self.num_nodes}")

    @property
    def num_events(self) -> int:
        """Steps of all teams together: the length of the compiled loop."""
        return self.num_teams * self.max_steps


NUM_CUES = 6  # components of an embedding that tell something; the rest name the node


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class SimulatorParams:
    """Numbers of the simulated process, each a traced scalar: sweep and vmap any of them. All are ours.

    Probabilities are of one step unless said otherwise; seconds are on the rollout's virtual clock. The defaults are
    fitted to rollouts of the offline world's text teams under three policies (experiments/simulator_agreement), but
    for injected faults (stalls, crashes, poison), limits, detection and cues, which no such rollout shows.
    """

    # The task: a graph of needed facts, detours that open some of them, and dead ends.
    needed_low: float = 1.3  # fewest needed facts
    needed_high: float = 4.4  # most
    detour_probability: float = 0.14  # a needed fact lies behind a detour
    chain_probability: float = 0.2  # else it lies behind the needed fact before it
    num_dead_ends: float = 4.0
    difficulty_spread: float = 1.2  # standard deviation over a task's nodes of the logit of finding
    task_spread: float = 0.82  # the same over tasks, of a number that all nodes of a task share
    # The teams.
    overlap: float = 0.86  # 1: all teams go through the nodes in one order, so at one time; 0: each in its own
    insight: float = 0.15  # how much a useful node looks better than a dead end, in units of the order
    find_probability: float = 0.35  # a step finds what it looks for
    wrong_probability: float = 0.28  # what was found is a wrong value
    common_mistake_share: float = 0.055  # of wrong values are the same mistake for everybody
    stale_probability: float = 0.1  # a right value misleads whoever reads it from the bank
    leave_probability: float = 0.72  # a dead end is recognised
    reasoning_probability: float = 0.74  # a team concludes rightly from right facts
    drop_probability: float = 0.048  # after a fruitless step a team gives up what it looked for
    stop_probability: float = 0.022  # a team answers with what it has
    stall_probability: float = 0.0  # a step hangs and yields nothing
    crash_probability: float = 0.0  # a team dies without an answer
    poison_probability: float = 0.0  # what is offered to the bank is a planted wrong value that looks right
    partial_credit: float = 0.86  # score of an answer that is not right, per share of right facts
    aggregator_insight: float = 0.41  # votes that a right answer gets from the aggregator beside the teams' own
    # Reading.
    has_memory: float = 1.0  # 0: no bank, no decisions, no cost of either
    pull_probability: float = 0.69  # a team pulls a listed entry that it has use for
    idle_pull_probability: float = 0.29  # the same where it has no use for it
    attention_keys: float = 21.2  # with this many keys listed both probabilities are halved
    detect_probability: float = 0.2  # a pulled wrong value is recognised as wrong
    discourage_probability: float = 0.17  # a pulled failure makes a team give up what the failure was about
    listing_window: float = 1e9  # only the newest this many keys are listed
    capacity: float = 1e9  # entries that the bank holds at a time
    evict_rule: float = 0.0  # 0 evicts the oldest, 1 the least read, 2 the least wanted by the controller
    # Time.
    start_seconds: float = 12.4  # task ledger and the first look at the progress
    step_log_seconds: float = 2.265  # mean of the log of a step's seconds
    step_log_spread: float = 0.65  # its standard deviation
    summary_seconds: float = 1.3  # per step, with memory: the key is written
    decision_seconds: float = 0.05  # per step, with memory: the controller
    check_seconds: float = 8.6  # between two steps: the look at the progress, and now and then a new plan
    selection_seconds: float = 1.3  # per reading of a listing that holds something new
    key_seconds: float = 0.088  # per reading and listed key
    pull_seconds: float = 0.6  # per pulled value
    stall_seconds: float = 120.0
    finish_seconds: float = 9.5  # the last look at the progress, and a team's answer
    aggregate_seconds: float = 1.5  # all answers into one
    deadline_seconds: float = 1500.0  # every team answers then with what it has
    step_limit: float = 30.0  # steps of a team; the shape's max_steps also ends it
    first_answer_ends: float = 0.0  # 1: the first answer ends the rollout; 0: all are waited for, then aggregated
    # What the controller is shown.
    cue_noise: float = 1.0  # standard deviation of every component, in units of a cue
    wrong_cue: float = 0.5  # how visible it is that a value is wrong; 0 hides it
    stale_cue: float = 0.2  # the same for a value that only misleads others

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Names of all numbers, in order."""
        return tuple(field.name for field in fields(cls))


def check_params(params: SimulatorParams, shape: SimulatorShape) -> None:
    """Refuse numbers that cannot be meant. For plain numbers, before anything is traced.

    Raises:
        UserError: naming the field, what was expected and what was given.
    """
    for name in SimulatorParams.names():
        value = getattr(params, name)
        is_fraction = name.endswith(("_probability", "_share")) or name in _FRACTIONS
        if is_fraction and not 0 <= value <= 1:
            raise UserError(f"world.{name}: expected from 0 to 1, got {value:g}")
        if not value >= 0:
            raise UserError(f"world.{name}: expected at least 0, got {value:g}")
    if not 1 <= params.needed_low <= params.needed_high:
        raise UserError(
            f"world.needed_low: expected from 1 to needed_high = {params.needed_high:g}, got {params.needed_low:g}"
        )
    if params.needed_high > shape.num_nodes:
        raise UserError(
            f"world.needed_high: expected at most shape.num_nodes = {shape.num_nodes}, got {params.needed_high:g}"
        )


_FRACTIONS = ("overlap", "has_memory", "first_answer_ends", "partial_credit")
