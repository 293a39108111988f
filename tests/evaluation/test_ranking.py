"""Rankings of tables small enough to follow by hand, of a made-up sweep, and what is refused."""

import dataclasses
import math

import numpy as np
import pytest
from fake_sweeps import FIELDS, LIFT, make_table

from lts_jax.errors import UserError
from lts_jax.evaluation.ranking import better_direction, pivot, rank, short_names
from lts_jax.reports.sweep_report import build_sweep_report, number_form, parse_reference, sweep_headline
from lts_jax.reports.text import WIDTH, p_text, sweep_text

DOCUMENT = {
    "fields": list(FIELDS),
    "measures": ["reward", "runtime_seconds", "admission_fraction", "read_rate"],
    "side": "simulator",
    "versions": {"jax": "0.11"},
    "settings": {"learning": {"temperature": 1.0}},
}


def small_table(**values: list[float]) -> dict[str, list]:
    """One field, `credit`, and a reward per seed for each of its values."""
    rows = [(name, seed, reward) for name, rewards in values.items() for seed, reward in enumerate(rewards)]
    return {"credit": [r[0] for r in rows], "seed": [r[1] for r in rows], "reward": [r[2] for r in rows]}


def test_a_small_ranking_by_hand() -> None:
    # middle half of 8: a 4.5, b 4.0; a - b per seed: 1 1 1 1 0 -1 1 0, mean .5, wins 5 + 2 / 2 of 8
    table = small_table(b=[0, 1, 2, 3, 5, 7, 6, 8], a=[1, 2, 3, 4, 5, 6, 7, 8])
    got = rank(table, "reward", ["credit"], {"credit": "b"})
    assert [row.label for row in got.rows] == ["credit=a", "credit=b"]
    best, reference = got.rows
    assert (best.iqm.estimate, reference.iqm.estimate) == (4.5, 4.0)
    assert (best.mean, reference.mean) == (4.5, 4.0)
    assert best.difference.estimate == 0.5
    assert best.improvement.estimate == 0.75
    # the sum of six signed ones is 4 or more in size in 14 of 64 patterns: all alike in 2, one unlike in 12
    assert best.p_value == best.p_holm == 14 / 64
    # s^2 of the differences: (6 - 16 / 8) / 7; times t_{.975, 7} + t_{.8, 7} = 2.364624 + .896030 over sqrt 8
    assert best.resolution == pytest.approx((2.364624 + 0.896030) * math.sqrt(4 / 7 / 8), rel=1e-5)
    assert got.reference_rank == 2 and not got.reference_is_best
    assert math.isnan(reference.difference.estimate) and math.isnan(reference.p_value)


def test_less_can_be_better() -> None:
    table = small_table(a=[10.0] * 6, b=[20.0] * 6)
    table["runtime_seconds"] = table.pop("reward")
    got = rank(table, "runtime_seconds", ["credit"])
    assert got.better == "down" and [row.label for row in got.rows] == ["credit=a", "credit=b"]
    assert got.rows[1].difference.estimate == 10.0  # in the measure's own direction
    assert got.rows[1].improvement.estimate == 0.0  # slower on every seed
    up = rank(table, "runtime_seconds", ["credit"], better="up")
    assert up.rows[0].label == "credit=b"
    assert better_direction("credit_fidelity") == better_direction("admission_fraction") == "up"
    assert better_direction("overhead_tokens") == better_direction("value_loss") == "down"


def test_missing_values_are_counted_and_only_pairs_compared() -> None:
    table = small_table(a=[1, 2, 3, math.nan, math.inf, 6, 7, 8], b=[0, 1, 2, 3, 4, 5])
    table["reward"][0] = None
    got = rank(table, "reward", ["credit"])
    a, b = got.rows
    assert (a.num_seeds, a.num_nan, a.num_absent) == (5, 3, 0)
    assert (b.num_seeds, b.num_nan, b.num_absent) == (6, 0, 2)
    assert b.num_pairs == 3  # seeds 1, 2, 5
    assert b.difference.estimate == -1.0
    assert math.isnan(b.difference.low)  # three pairs
    assert math.isfinite(a.iqm.low)
    notes = " ".join(build_sweep_report(table, {"fields": ["credit"], "measures": ["reward"]}).notes)
    assert "credit=a counts 5 of 8 seeds: 3 of its values are not numbers." in notes
    assert "credit=b counts 6 of 8 seeds: 2 seeds were not run." in notes


def test_a_configuration_without_any_value_comes_last() -> None:
    got = rank(small_table(a=[math.nan] * 6, b=[1.0] * 6), "reward", ["credit"])
    assert [row.label for row in got.rows] == ["credit=b", "credit=a"]
    assert got.rows[1].num_nan == 6 and math.isnan(got.rows[1].p_holm)
    assert got.rows[1].rank_low is None


def test_configurations_that_came_out_the_same_share_a_rank_inside_its_interval() -> None:
    same = [3.0, 1.0, 4.0, 1.0, 5.0, 9.0]
    table = small_table(a=same, b=[10.0 + one for one in same], c=same, d=same[::-1], e=[one - 5.0 for one in same])
    rows = rank(table, "reward", ["credit"], {"credit": "d"}).rows
    assert [(row.setting["credit"], row.rank) for row in rows] == [("b", 1), ("a", 2), ("c", 2), ("d", 2), ("e", 5)]
    assert [(row.rank_low, row.rank_high) for row in rows[1:3]] == [(2, 3), (2, 3)]  # d may come out before or after
    assert all(row.rank_low <= row.rank <= row.rank_high for row in rows)
    assert [row.is_reference for row in rows] == [False, False, False, True, False]
    lines = sweep_text(build_sweep_report(table, {"fields": ["credit"], "measures": ["reward"]})).splitlines()
    assert [line.split()[:2] for line in lines if line.startswith(("1  ", "2  ", "5  "))] == [
        ["1", "b"], ["2", "a"], ["2", "c"], ["2", "d"], ["5", "e"]
    ]  # fmt: skip


def test_a_made_up_sweep_is_ranked_as_it_was_made() -> None:
    got = rank(make_table(), "reward", FIELDS)
    assert len(got.rows) == 48 and got.num_seeds == 20 and got.varied == FIELDS
    assert got.rows[0].setting["credit"] == "usage_aware"
    assert got.rows[-1].setting == {
        "credit": "reinforce",
        "learning.sparsity_weight": 0.2,
        "learning.usage_weight": 0.3,
    }
    for row in got.rows:
        assert row.iqm.low < row.iqm.estimate < row.iqm.high
        assert row.rank_low <= row.rank <= row.rank_high
        assert row.p_holm >= row.p_value or row.rank == 1
    paired = np.median([row.difference.high - row.difference.low for row in got.rows[1:]])
    alone = np.median([row.iqm.high - row.iqm.low for row in got.rows])
    assert paired < 0.6 * alone  # the luck of a seed is shared and drops out


def test_rows_in_any_order_give_the_same_ranking() -> None:
    table = make_table(6)
    order = np.random.default_rng(0).permutation(len(table["seed"]))
    shuffled = {name: [column[number] for number in order] for name, column in table.items()}
    got, expected = rank(shuffled, "reward", FIELDS).rows, rank(table, "reward", FIELDS).rows
    assert [row.label for row in got] == [row.label for row in expected]
    for name in ("iqm", "difference", "improvement"):
        numbers = [[dataclasses.astuple(getattr(row, name)) for row in rows] for rows in (got, expected)]
        np.testing.assert_allclose(*numbers, rtol=1e-12)
    np.testing.assert_allclose(*([row.p_holm for row in rows] for rows in (got, expected)))


def test_intervals_of_differences_cover_the_truth() -> None:
    generator = np.random.default_rng(5)
    covered = 0
    for _ in range(60):
        luck = generator.normal(0, 1, 10)
        own = {name: list(luck + shift + generator.normal(0, 0.3, 10)) for name, shift in (("a", 0.0), ("b", 0.5))}
        row = next(r for r in rank(small_table(**own), "reward", ["credit"], {"credit": "a"}).rows if "b" in r.label)
        covered += row.difference.low <= 0.5 <= row.difference.high
    assert covered >= 52


def test_few_seeds_give_no_bounds() -> None:
    report = build_sweep_report(make_table(4), DOCUMENT)
    assert all(math.isnan(row.iqm.low) and row.rank_low is None for row in report.ranking.rows)
    assert math.isfinite(report.ranking.rows[0].iqm.estimate)
    assert "need at least 5 seeds" in report.notes[-1]
    assert len(build_sweep_report(make_table(1), DOCUMENT).ranking.rows) == 48


def test_notes_say_when_no_number_of_seeds_so_small_could_tell() -> None:
    assert "no adjusted p can be below 1" in " ".join(build_sweep_report(make_table(5), DOCUMENT).notes)
    assert "no adjusted p" not in " ".join(build_sweep_report(make_table(20), DOCUMENT).notes)


def test_headlines() -> None:
    table = make_table(20, sparsity_weights=(0.1,), usage_weights=(0.1,))
    best = sweep_headline(build_sweep_report(table, DOCUMENT).ranking)
    assert best.startswith("First of 4 configurations is credit=usage_aware: reward 0.6")
    assert "differs from all 3 others" in best
    named = sweep_headline(build_sweep_report(table, DOCUMENT, reference="credit=group_relative").ranking)
    assert named.startswith("Of 3 configurations, ") and "1 is worse" in named
    alone = {name: column[:20] for name, column in table.items()}
    assert sweep_headline(rank(alone, "reward", FIELDS)).startswith("One configuration was run: reward 0.6")
    same = small_table(a=[1.0, 2, 3, 4, 5, 6], b=[1.0, 2, 3, 4, 5, 6])
    named = sweep_headline(rank(same, "reward", ["credit"], {"credit": "b"}))
    assert named.startswith("The other one does not differ from credit=b (Holm-adjusted p < 0.05). First is credit=a")


def test_the_text_fits_a_terminal_and_keeps_the_reference() -> None:
    last = "credit=reinforce,learning.sparsity_weight=0.2,learning.usage_weight=.3"
    report = build_sweep_report(make_table(), DOCUMENT, reference=last)
    said = sweep_text(report)
    assert max(map(len, said.splitlines())) <= WIDTH
    assert "48  reinforce       0.2       0.3" in said and "22 more" in said
    many = {f"settings.of_a_long_name.field_{number}": [number, number + 1] * 6 for number in range(9)}
    wide = {**many, "seed": [n // 2 for n in range(12)], "reward": [float(n) for n in range(12)]}
    lines = sweep_text(build_sweep_report(wide, {"fields": list(many), "measures": ["reward"]})).splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert any("1 · 2 · 3" in line for line in lines)


def test_names_and_numbers_in_short() -> None:
    assert short_names(["credit", "learning.rate", "world.rate"]) == {
        "credit": "credit",
        "learning.rate": "learning.rate",
        "world.rate": "world.rate",
    }
    assert short_names(["learning.sparsity_weight"]) == {"learning.sparsity_weight": "sparsity_weight"}
    assert [p_text(p) for p in (0.0001, 0.0123, 1.0, math.nan)] == ["<0.001", "0.012", "1.000", "-"]
    ranking = rank(make_table(6), "reward", FIELDS)
    assert number_form(ranking) == ",.3f"
    tens = dataclasses.replace(rank(make_table(6), "runtime_seconds", FIELDS))
    assert number_form(tens) == ",.0f"


def test_a_reference_is_read_from_text() -> None:
    table = make_table(2)
    wanted = parse_reference("credit=reinforce, learning.usage_weight=.10", table, FIELDS)
    assert wanted == {"credit": "reinforce", "learning.usage_weight": 0.1}
    assert set(LIFT) == set(table["credit"])


@pytest.mark.parametrize(
    ("changes", "arguments", "expected"),
    [
        ({}, {"measure": "luck"}, "measure: expected one of reward, runtime_seconds"),
        ({}, {"reference": "credit=luck"}, "reference: credit took usage_aware, leave_one_out"),
        ({}, {"reference": "reinforce"}, "reference: expected field=value with a field of credit"),
        ({}, {"reference": "credit=reinforce"}, "reference: 12 configurations have credit=reinforce; expected exactly"),
        ({"seed": None}, {}, "no column 'seed' in the results; they have credit"),
        ({"credit": None}, {}, "no column 'credit' in the results"),
        ({"reward": [math.nan] * 240}, {}, "reward: no finite value in the table"),
        ({"seed": [0] * 240}, {}, "seed 0 of credit=usage_aware"),
        ({"seed": [0]}, {}, "the columns of the results differ in length"),
    ],
)
def test_what_cannot_be_ranked_is_one_line(changes, arguments, expected) -> None:
    table = {name: column for name, column in {**make_table(5), **changes}.items() if column is not None}
    with pytest.raises(UserError) as caught:
        build_sweep_report(table, DOCUMENT, **arguments)
    assert str(caught.value).startswith(expected) and "\n" not in str(caught.value)


def test_more_that_is_refused() -> None:
    with pytest.raises(UserError, match="the results have no rows"):
        pivot({"credit": [], "seed": [], "reward": []}, "reward", ["credit"])
    with pytest.raises(UserError, match='better: expected "up" or "down"'):
        rank(make_table(1), "reward", FIELDS, better="more")
    with pytest.raises(UserError, match="'luck' is not a swept field"):
        rank(make_table(1), "reward", FIELDS, {"luck": 1})
    with pytest.raises(UserError, match="no measure to rank by"):
        build_sweep_report(make_table(1), {**DOCUMENT, "measures": []})
    with pytest.raises(UserError, match="fields: expected a list of names, got None"):
        build_sweep_report(make_table(1), {"measures": ["reward"]})
