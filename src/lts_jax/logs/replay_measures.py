"""What sharing saved in replays: paired with replays of the same runs without sharing, chance levels beside each."""

from collections.abc import Iterable, Sequence

from lts_jax.memory.usage import cross_share, mean_reach, read_rate
from lts_jax.records import Coordinates, Rollout


def replay_measures(
    rollouts: Sequence[Rollout], baseline_rollouts: Iterable[Rollout], *, own_listed: bool = False
) -> dict[str, float]:
    """Measures of replays against their pairs without sharing (M1-Parallel); NaN where a measure has no case.

    `baseline_seconds` and `seconds`: mean runtime, start to the last team's answer. `saved_seconds`: mean of the
    paired differences. `reduction_percent`: 100 * (a - b) / a of the means, a the baseline's, never the symmetric
    difference. The same for all teams' seconds together (`team_*`), what is paid for rather than waited for.
    `admission_fraction`, `read_rate`, `cross_share` and `reach` pool all rollouts. By chance `cross_share` is 1; with
    `own_listed` nobody can say, as a replay lists nothing.
    `wrong_value_fraction`: pulls whose value is not what the reader's own call once returned. `pulls` and
    `extra_prompt_tokens`: mean per rollout.

    Raises:
        ValueError: no rollouts, or a rollout whose coordinates have no baseline.
    """
    if not rollouts:
        raise ValueError("expected at least one rollout to measure")
    by_coordinates = {_place(item.coordinates): item for item in baseline_rollouts}
    missing = [item.coordinates for item in rollouts if _place(item.coordinates) not in by_coordinates]
    if missing:
        raise ValueError(f"expected a baseline rollout for every rollout; none for {missing[0]}")
    baselines = [by_coordinates[_place(item.coordinates)] for item in rollouts]
    count = len(rollouts)
    seconds, baseline_seconds = (sum(item.seconds for item in group) / count for group in (rollouts, baselines))
    team, baseline_team = (sum(map(_team_seconds, group)) / count for group in (rollouts, baselines))
    decisions = sum(len(item.decisions) for item in rollouts)
    entries = sum(len(item.entries) for item in rollouts)
    pulls = [pull for item in rollouts for pull in item.pulls]
    return {
        "rollouts": float(count),
        "seconds": seconds,
        "baseline_seconds": baseline_seconds,
        "saved_seconds": baseline_seconds - seconds,
        "reduction_percent": _ratio(100.0 * (baseline_seconds - seconds), baseline_seconds),
        "team_seconds": team,
        "baseline_team_seconds": baseline_team,
        "team_saved_seconds": baseline_team - team,
        "team_reduction_percent": _ratio(100.0 * (baseline_team - team), baseline_team),
        "admission_fraction": _ratio(entries, decisions),
        "read_rate": _ratio(
            sum(read_rate(r.entries, r.pulls) * len(r.entries) for r in rollouts if r.entries), entries
        ),
        "cross_share": cross_share(pulls),
        "cross_share_chance": float("nan") if own_listed or rollouts[0].num_teams == 1 else 1.0,
        "reach": _ratio(sum(mean_reach(r.entries, r.pulls) * len(r.entries) for r in rollouts if r.entries), entries),
        "reach_limit": float(rollouts[0].num_teams - 1),
        "pulls": len(pulls) / count,
        "wrong_value_fraction": _ratio(sum(map(num_wrong_values, rollouts)), len(pulls)),
        "extra_prompt_tokens": (sum(map(_prompt_tokens, rollouts)) - sum(map(_prompt_tokens, baselines))) / count,
    }


def num_wrong_values(rollout: Rollout) -> int:
    """Pulls of a replay whose value differs from the output that the reader's own call had when it was recorded."""
    recorded = {(step.team, step.step): step.output for step in rollout.steps}
    return sum(rollout.entries[pull.entry].value != recorded[pull.reader, pull.step] for pull in rollout.pulls)


def _place(coordinates: Coordinates) -> tuple[int, int, str, int]:
    return (coordinates.seed, coordinates.iteration, coordinates.task, coordinates.rollout)


def _team_seconds(rollout: Rollout) -> float:
    return sum(answer.seconds for answer in rollout.answers)


def _prompt_tokens(rollout: Rollout) -> int:
    return sum(call.prompt_tokens for call in rollout.calls)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")
