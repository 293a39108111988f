"""The study's tables: rankings with intervals, and fidelity."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from config import WORLDS

from lts_jax.evaluation.ranking import RankedRow, Ranking, rank
from lts_jax.evaluation.statistics import Interval, improvement_interval, mean_interval

Row = Mapping[str, Any]
REFERENCE = "usage_aware"
COIN = "random(0.5)"
FROM_REPLAYS, PAID_FOR_USE, REWARD_ALONE = "from replays", "paid for use", "from reward alone"
REGRESSION = "regression on a coin's rollouts"
KINDS = {
    FROM_REPLAYS: ("counterfactual", "difference_rewards", "shapley", "local_group"),
    REGRESSION: ("admission_value", "admission_value, 9x"),
    PAID_FOR_USE: (
        "usage_aware", "usage_bonus", "reinforce_usage", "cross_team_usage", "time_discounted_usage", "saved_work",
        "comam",
    ),
}  # fmt: skip
"""What a scheme looks at; all others look at reward alone."""


def rankings(rows: Sequence[Row]) -> dict[str, Ranking]:
    """Schemes and rules by gain in each world, compared with LTS on the same seeds."""
    found = {}
    for world in WORLDS:
        here = [row for row in rows if row["world"] == world]
        table = {name: [row[name] for row in here] for name in ("credit", "seed", "gain")}
        found[world] = rank(table, "gain", ["credit"], {"credit": REFERENCE}, better="up")
    return found


def over_coin(rows: Sequence[Row], price: float) -> tuple[Interval, Interval]:
    """Gain over a coin that admits as often, on the same tasks: mean difference, and P(better) + P(equal) / 2."""
    coin = np.array(
        [
            row["reward_random_matched"]
            + price * (1.0 - row["runtime_seconds_random_matched"] / row["runtime_seconds_none"])
            for row in rows
        ]
    )
    difference = np.array([row["gain"] for row in rows]) - coin
    difference[np.abs(difference) < 1e-6] = 0.0  # the same decisions, rounded otherwise
    seeds = [str(row["seed"]) for row in rows]
    return mean_interval(difference, seeds), improvement_interval(difference)


def mean_of(rows: Sequence[Row], measure: str) -> Interval:
    """Mean over seeds with its interval."""
    return mean_interval([float(row[measure]) for row in rows], [str(row["seed"]) for row in rows])


def rows_of(rows: Sequence[Row], world: str, credit: str) -> list[Row]:
    """The rows of one scheme or rule in one world."""
    return [row for row in rows if (row["world"], row["credit"]) == (world, credit)]


def name_of(row: RankedRow) -> str:
    """The scheme or rule of a ranked row."""
    return str(row.setting["credit"])


def ranking_table(ranking: Ranking, rows: Sequence[Row], world: str, price: float) -> str:
    """One line per scheme or rule, best gain first."""
    resolutions = sorted(row.resolution for row in ranking.rows if np.isfinite(row.resolution) and row.resolution > 0)
    middle = resolutions[len(resolutions) // 2]
    lines = [
        f"{world}: simulated, {ranking.num_seeds} seeds; differences in gain from {REFERENCE} are resolved from "
        f"{resolutions[0]:.3f} to {resolutions[-1]:.3f}, for the middle row from {middle:.3f}",
        f"{'':4}{'scheme':24}{'lambda':>7}{'gain, IQM':>22}{'reward':>22}{'saved %':>22}{'admit':>6}{'read':>6}"
        f"{'P(> LTS)':>19}{'p, Holm':>9}{'over a coin':>25}{'P(> coin)':>19}",
    ]
    for one in ranking.rows:
        own = rows_of(rows, world, name_of(one))
        line = f"{one.rank:>3} {name_of(one):24}" + _weight(own) + f"{_shown(one.iqm):>22}"
        line += f"{_shown(mean_of(own, 'reward')):>22}{_shown(mean_of(own, 'saved_percent'), 1):>22}"
        line += f"{mean_of(own, 'admission_fraction').estimate:>6.2f}{_read(own)}"
        line += f"{_shown(one.improvement, 2):>19}{_number(one.p_holm, 4):>9}"
        if "reward_random_matched" in own[0]:
            difference, improvement = over_coin(own, price)
            line += f"{_signed(difference):>25}{_shown(improvement, 2):>19}"
        lines.append(line)
    return "\n".join(lines)


def fidelity_table(judged: Sequence[Row], told: Sequence[Row]) -> str:
    """What admissions do, then every scheme against every effect."""
    lines = ["admissions under random(0.5): what they did in their rollout, and in expectation over futures"]
    lines.append(f"{'':20}{'share':>7}{'change R':>10}{'R':>9}{'seconds':>9}{'expected R':>12}{'expected seconds':>18}")
    for row in told:
        lines.append(
            f"{row['admissions']:20}{row['share']:>7.2f}{row['changes_reward']:>10.2f}{row['reward_effect']:>+9.3f}"
            f"{row['seconds_saved']:>+9.1f}{row['expected_reward_effect']:>+12.3f}"
            f"{row['expected_seconds_saved']:>+18.1f}"
        )
    for policy, effect in dict.fromkeys((one["policy"], one["effect"]) for one in judged):
        chosen = [one for one in judged if (one["policy"], one["effect"]) == (policy, effect)]
        chosen.sort(key=lambda one: -(one["overall"]["rank_correlation"]["estimate"] or -2.0))
        first = chosen[0]["overall"]
        head = f"policy {policy}, {effect.replace('_', ' ')}"
        if policy == COIN:
            head += (
                f": {first['num_decisions']} admissions, {first['num_with_effect']} with an effect; one sign for all "
                f"agrees {_number(first['constant_sign_agreement'], 2)}"
            )
        lines += ["", head]
        lines.append(
            f"{'scheme':24}{'rank correlation':>20}{'resolved':>9}{'within rollouts':>20}{'signs':>20}"
            f"{'slope':>24}{'signal/noise':>13}{'variance':>10}{'n':>7}"
        )
        for one in chosen:
            overall, within = one["overall"], one["within"]
            signal = overall["signal_to_noise"]["estimate"]
            lines.append(
                f"{one['credit']:24}{_bounds(overall['rank_correlation']):>20}"
                f"{_number(overall['rank_resolution'], 2):>9}{_bounds(within['rank_correlation']):>20}"
                f"{_bounds(overall['sign_agreement']):>20}{_bounds(overall['calibration_slope'], 3):>24}"
                f"{'exact' if signal is None and overall['reason'] == '' else _number(signal, 4):>13}"
                f"{_number(overall['credit_variance'], 3):>10}{overall['num_decisions']:>7}"
            )
    return "\n".join(lines)


def readme_table(ranking: Ranking, rows: Sequence[Row], world: str, judged: Sequence[Row], price: float) -> str:
    """The short form in Markdown: a row each for LTS, schemes with replays and rules; the other schemes by kind."""
    known = {
        row["credit"]: row["overall"]["rank_correlation"]["estimate"]
        for row in judged
        if (row["policy"], row["effect"]) == (COIN, "expected_reward_effect")
    }
    order = [name_of(one) for one in ranking.rows]
    ranked = {name_of(one): one for one in ranking.rows}
    alone = (FROM_REPLAYS, REGRESSION)
    grouped = {name: kind for kind, names in KINDS.items() for name in names if kind not in alone}
    grouped |= {name: REWARD_ALONE for name in known if name not in (*grouped, *KINDS[FROM_REPLAYS])}
    grouped.pop(REFERENCE, None)
    tiers: dict[str, list[str]] = {}
    for name in order:
        tiers.setdefault(grouped.get(name, name), []).append(name)
    lines = [
        "| scheme | gain | reward | saved % | admitted | P(> LTS) | P(> coin) | knows the effect |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for kind, names in tiers.items():
        own = [rows_of(rows, world, name) for name in names]
        coins = [over_coin(each, price)[1].estimate for each in own if "reward_random_matched" in each[0]]
        told = f"{kind}: {', '.join(names)}" if kind != names[0] else kind
        cells = [
            told.replace(REFERENCE, f"**{REFERENCE} (LTS)**"),
            _range([ranked[name].iqm.estimate for name in names], 3),
            _range([mean_of(each, "reward").estimate for each in own], 3),
            _range([mean_of(each, "saved_percent").estimate for each in own], 1),
            _range([mean_of(each, "admission_fraction").estimate for each in own], 2),
            _range([ranked[name].improvement.estimate for name in names], 2),
            _range(coins, 2),
            _range([known[name] or 0.0 for name in names if name in known], 2),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _range(values: Sequence[float], digits: int) -> str:
    """One number, or the least and the greatest; empty where there is none."""
    finite = [value for value in values if np.isfinite(value)]
    rounded = [round(value, digits) + 0.0 for value in (min(finite), max(finite))] if finite else []  # no -0.0
    ends = list(dict.fromkeys(f"{value:.{digits}f}" for value in rounded))
    return " to ".join(ends)


def _weight(rows: Sequence[Row]) -> str:
    return f"{rows[0]['sparsity_weight']:>7g}" if "sparsity_weight" in rows[0] else f"{'':>7}"


def _read(rows: Sequence[Row]) -> str:
    return f"{mean_of(rows, 'read_rate').estimate:>6.2f}" if "read_rate" in rows[0] else f"{'':>6}"


def _shown(value: Interval, digits: int = 3) -> str:
    if not np.isfinite(value.estimate):
        return "-"
    return f"{value.estimate:.{digits}f} [{value.low:.{digits}f}, {value.high:.{digits}f}]"


def _signed(value: Interval) -> str:
    return f"{value.estimate:+.3f} [{value.low:+.3f}, {value.high:+.3f}]"


def _bounds(value: Mapping[str, float | None], digits: int = 2) -> str:
    estimate, low, high = value["estimate"], value["low"], value["high"]
    if estimate is None:
        return "-"
    if low is None or high is None:
        return f"{estimate:.{digits}f}"
    return f"{estimate:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None or not np.isfinite(value) else f"{value:.{digits}f}"
