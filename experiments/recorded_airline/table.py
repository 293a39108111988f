"""The rows of the study's table: measures against no sharing, and the learned controller against other policies."""

import math
from collections.abc import Callable, Mapping, Sequence

from lts_jax.evaluation.statistics import (
    NUM_FLIPS,
    Cell,
    difference_interval,
    mean_interval,
    minimum_detectable_effect,
    pair_cells,
    sign_flip_p_values,
    task_sums,
)
from lts_jax.logs.replay_measures import replay_measures
from lts_jax.records import Rollout

SHOWN = (
    "admission_fraction", "read_rate", "reach", "pulls", "wrong_value_fraction", "cross_share_chance", "seconds",
    "saved_seconds", "reduction_percent", "team_seconds", "team_saved_seconds", "team_reduction_percent",
)  # fmt: skip
Row = dict[str, object]


def runtime(rollout: Rollout) -> float:
    """Seconds until the last team's answer."""
    return rollout.seconds


def team_seconds(rollout: Rollout) -> float:
    """Seconds of all teams together."""
    return sum(answer.seconds for answer in rollout.answers)


TIMES: dict[str, Callable[[Rollout], float]] = {"saved_seconds": runtime, "team_saved_seconds": team_seconds}


def policy_row(name: str, rollouts: Sequence[Rollout], baseline: Sequence[Rollout]) -> Row:
    """Measures of a policy; 95 % intervals of its savings over tasks, and the saving of each seed."""
    measures = replay_measures(rollouts, baseline)
    row: Row = {"policy": name} | {shown: rounded(measures[shown]) for shown in SHOWN}
    for measure, seconds in TIMES.items():
        interval = difference_interval(pair_cells(cells(rollouts, seconds), cells(baseline, seconds)))
        row[f"{measure}_interval"] = [rounded(interval.low), rounded(interval.high)]
    seeds = sorted({one.coordinates.seed for one in rollouts})
    chosen = [[one for one in rollouts if one.coordinates.seed == seed] for seed in seeds]
    row["team_saved_seconds_by_seed"] = [
        rounded(replay_measures(group, baseline)["team_saved_seconds"]) for group in chosen
    ]
    return row


def versus_row(name: str, other: Sequence[Rollout], own: Sequence[Rollout]) -> Row:
    """Seconds that `own` saved beyond `other`, paired over tasks, seeds and draws; positive favours `own`.

    With the 95 % interval over tasks, the p-value of flipping the signs of whole tasks, and the smallest true
    difference that 80 % of such studies would have found.
    """
    row: Row = {"against": name}
    for measure, seconds in TIMES.items():
        paired = pair_cells(cells(own, seconds), cells(other, seconds))
        differences = paired.policy - paired.reference
        interval, (sums, _) = mean_interval(differences, paired.tasks), task_sums(differences, paired.tasks)
        row[measure] = rounded(interval.estimate)
        row[f"{measure}_interval"] = [rounded(interval.low), rounded(interval.high)]
        row[f"{measure}_p_value"] = rounded(float(sign_flip_p_values(sums[None], num_flips=NUM_FLIPS)[0]))
        row[f"{measure}_resolvable"] = rounded(minimum_detectable_effect(differences, paired.tasks))
    return row


def cells(rollouts: Sequence[Rollout], seconds: Callable[[Rollout], float]) -> dict[Cell, float]:
    """Seconds of each rollout by its place."""
    return {(r.coordinates.task, r.coordinates.seed, r.coordinates.rollout): seconds(r) for r in rollouts}


def rounded(value: float) -> float | None:
    """Four digits behind the point; JSON has no NaN."""
    return round(value, 4) if math.isfinite(value) else None


def print_policies(rows: Sequence[Row]) -> None:
    """The table against no sharing."""
    print(f"{'policy':28} stored  read  reach  wrong  runtime  saved s [95 %]             %   team-s saved [95 %]")
    for row in rows:
        stored, read, wrong = (percent(row[n]) for n in ("admission_fraction", "read_rate", "wrong_value_fraction"))
        reach = "-" if row["reach"] is None else f"{row['reach']:.2f}"
        print(
            f"{row['policy']:28} {stored:>6} {read:>5} {reach:>6} {wrong:>6} {row['seconds']:8.1f} "
            f"{with_interval(row, 'saved_seconds')} {row['reduction_percent']:5.1f} "
            f"{with_interval(row, 'team_saved_seconds')}"
        )
    chance = percent(rows[0]["cross_share_chance"])
    print(f"cross share of pulls: own entries are not pulled, so it is 100% by rule (chance {chance})")


def print_versus(rows: Sequence[Row]) -> None:
    """The learned controller against each other policy."""
    print(f"{'learned beyond':28} saved s [95 %]           p      team-s saved [95 %]      p      (resolvable team-s)")
    for row in rows:
        print(
            f"{row['against']:28} {with_interval(row, 'saved_seconds')} {row['saved_seconds_p_value']:.3f} "
            f"{with_interval(row, 'team_saved_seconds')} {row['team_saved_seconds_p_value']:.3f} "
            f"({row['team_saved_seconds_resolvable']:.1f})"
        )


def with_interval(row: Mapping[str, object], name: str) -> str:
    """A measure with the bounds of its interval; a dash for a bound that is not known."""
    low, high = ("-" if bound is None else f"{bound:.2f}" for bound in row[f"{name}_interval"])  # type: ignore[attr-defined]
    return f"{row[name]:7.2f} [{low:>6}, {high:>6}]"


def percent(value: object) -> str:
    """A share in percent, or a dash where there is none."""
    return "-" if value is None else f"{100 * float(value):.0f}%"  # type: ignore[arg-type]
