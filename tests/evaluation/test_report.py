"""The report record, its JSON form and its text form."""

import dataclasses
import json
import math

import pytest
from fake_rollouts import make_metrics, make_rollout, make_rollouts

from lts_jax.evaluation.chance import shown_pairs
from lts_jax.evaluation.curves import learning_curves
from lts_jax.records import Rollout, StopReason
from lts_jax.reports.report import Background, ReportSettings, build_report, find_row, headline, report_json
from lts_jax.reports.text import report_text, short_count


def timed(policy: str, task: int, seed: int, seconds: float, score: float) -> Rollout:
    rollout = make_rollout(policy, task, seed)
    return dataclasses.replace(rollout, seconds=seconds, reward_agg=score)


REFERENCE = [
    timed("m1_parallel", 0, 0, 100, 0.0),
    timed("m1_parallel", 0, 1, 100, 1.0),
    timed("m1_parallel", 1, 0, 200, 0.0),
]
LEARNED = [timed("lts", 0, 0, 60, 1.0), timed("lts", 0, 1, 80, 1.0), timed("lts", 1, 0, 160, math.nan)]


def test_a_row_by_hand() -> None:
    row = find_row(build_report({"m1_parallel": REFERENCE, "lts": LEARNED}), "lts")
    assert (row.num_rollouts, row.num_tasks, row.num_pairs, row.num_unscored) == (3, 2, 3, 1)
    assert row.score.estimate == 1.0
    assert row.score_difference.estimate == 0.5  # the unscored rollout takes its partner with it
    assert math.isnan(row.score_difference.low)  # too few tasks
    assert row.runtime_seconds.estimate == 100.0
    assert row.runtime_reduction_percent.estimate == 25.0
    assert row.speed_up == pytest.approx(4 / 3)
    assert row.completion_seconds == (60, 80, 160)


def test_ratios_are_pooled_over_rollouts() -> None:
    rollouts = [make_rollout("lts", 0, 0), make_rollout("lts", 1, 0)]
    row = find_row(build_report({"lts": rollouts}, ReportSettings(reference="lts", own_listed=True)), "lts")
    admitted, decided = (sum(len(getattr(one, name)) for one in rollouts) for name in ("entries", "decisions"))
    assert row.admission_fraction == admitted / decided
    pulled = sum(len({pull.entry for pull in one.pulls}) for one in rollouts)
    assert row.read_rate == pulled / admitted
    assert 0 < row.read_rate_chance < 1
    shown = [(entry, team) for one in rollouts for entry, team in shown_pairs(one, own_listed=True)]
    others = [
        pair for one in rollouts for pair in shown_pairs(one, own_listed=True) if one.entries[pair[0]].team != pair[1]
    ]
    assert row.cross_share_chance == len(others) / len(shown)


def test_only_shared_cells_are_paired() -> None:
    rollouts = {"m1_parallel": REFERENCE, "lts": [*LEARNED, timed("lts", 7, 0, 10_000, 1.0)]}
    row = find_row(build_report(rollouts), "lts")
    assert (row.num_rollouts, row.num_pairs) == (4, 3)
    assert row.runtime_reduction_percent.estimate == 25.0


def test_wrong_input_is_named() -> None:
    with pytest.raises(ValueError, match="expected one of the policies"):
        build_report({"lts": LEARNED})
    with pytest.raises(ValueError, match="expected one of the policies"):
        build_report({"m1_parallel": REFERENCE}, ReportSettings(highlight="nobody"))
    with pytest.raises(ValueError, match="at least one rollout of policy 'lts'"):
        build_report({"m1_parallel": REFERENCE, "lts": []})
    with pytest.raises(ValueError, match="two rollouts of task 'task-000', seed 0"):
        build_report({"m1_parallel": [*REFERENCE, REFERENCE[0]]})


def test_json_round_trips_without_nan() -> None:
    report = build_report(
        make_rollouts(4, 2),
        background=Background({"run": "demo"}, make_metrics(5), make_rollout("lts", 2, 1), {"lts": "Learned."}),
    )
    document = report_json(report)
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    rows = {row["policy"]: row for row in document["rows"]}
    assert rows["m1_parallel"]["read_rate"] is None
    assert rows["m1_parallel"]["score_difference"] == {"estimate": None, "low": None, "high": None}
    assert rows["lts"]["runtime_seconds"]["estimate"] == find_row(report, "lts").runtime_seconds.estimate
    assert document["example"] == {"policy": "lts", "seed": 1, "iteration": 0, "task": "task-002", "rollout": 0}
    assert [row["group"] for row in document["breakdown"][:3]] == ["easy", "medium", "hard"]
    assert len(document["versus"]) == len(rows) - 1
    assert not {"glossary", "example_policy"} & document.keys()


def test_groups_by_difficulty_and_by_family() -> None:
    def of_family(policy: str, task: int, family: str) -> Rollout:
        rollout = timed(policy, task, 0, 100.0, float(family == "rivers"))
        return dataclasses.replace(rollout, task=dataclasses.replace(rollout.task, family=family, difficulty="easy"))

    rollouts = {"m1_parallel": [of_family("m1_parallel", task, "rivers" if task else "lines") for task in range(4)]}
    groups = {row.group: row for row in build_report(rollouts, ReportSettings(new_families=["rivers"])).breakdown}
    assert {name: row.num_tasks for name, row in groups.items()} == {"seen families": 1, "new families": 3}
    assert groups["new families"].score.estimate == 1.0
    assert groups["seen families"].score.estimate == 0.0
    assert build_report(rollouts).breakdown == ()


def test_runs_of_a_task_are_counted_by_seed_and_number() -> None:
    again = dataclasses.replace(REFERENCE[0].coordinates, rollout=1)
    rollouts = {"m1_parallel": [*REFERENCE, dataclasses.replace(REFERENCE[0], coordinates=again)]}
    report = build_report(rollouts)
    assert (report.num_tasks, report.num_seeds) == (2, 3)


def test_versus_is_the_reference_comparison_seen_from_the_other_side() -> None:
    report = build_report({"m1_parallel": REFERENCE, "lts": LEARNED})
    (against,) = report.versus
    assert against.policy == "m1_parallel"
    assert against.runtime_reduction_percent == find_row(report, "lts").runtime_reduction_percent


def test_headline_says_what_is_not_resolved() -> None:
    reference = [make_rollout("m1_parallel", task) for task in range(5)]
    same = [dataclasses.replace(one, policy="lts") for one in reference]
    words = headline(build_report({"m1_parallel": reference, "lts": same}))
    assert words.startswith("lts needs 0.0 % less time than m1_parallel (unresolved;")
    assert "score 0.000 higher (unresolved;" in words
    assert "nothing to compare" in headline(build_report({"m1_parallel": REFERENCE}))
    assert "at least 5" in headline(build_report({"m1_parallel": REFERENCE[:1], "lts": LEARNED[:1]}))


def test_the_order_of_rollouts_does_not_matter() -> None:
    rollouts = make_rollouts(5, 2)
    shuffled = {policy: list(reversed(some)) for policy, some in rollouts.items()}
    first, second = find_row(build_report(rollouts), "lts"), find_row(build_report(shuffled), "lts")
    assert first.runtime_reduction_percent.low == pytest.approx(second.runtime_reduction_percent.low)
    assert first.reach_chance == pytest.approx(second.reach_chance)


def test_text_fits_a_terminal() -> None:
    rollouts = make_rollouts(6, 2)
    rollouts["a policy with a very long name indeed, so long"] = rollouts.pop("random_0.5")
    slow = {
        policy: [dataclasses.replace(one, seconds=one.seconds * 40, clock="real") for one in some]
        for policy, some in rollouts.items()
    }
    for some in (rollouts, slow):
        lines = report_text(build_report(some)).splitlines()
        assert max(map(len, lines)) <= 100
    assert any(line.startswith("Clock: real. Seconds are wall time.") for line in lines)


def test_text_of_a_known_comparison() -> None:
    lines = report_text(build_report({"m1_parallel": REFERENCE, "lts": LEARNED})).splitlines()
    tables = [line.split() for line in lines if line.startswith(("m1_parallel", "lts "))]
    assert ["m1_parallel", "0.333", "reference", "133", "reference"] in tables
    assert any(line.startswith("Clock: virtual. Latencies are drawn from a model") for line in lines)
    assert "1 rollout has no score and stays out of every score." in lines


def test_text_shows_intervals() -> None:
    rollouts = {
        "m1_parallel": [timed("m1_parallel", task, 0, 100.0 * (1 + task), 0.0) for task in range(5)],
        "lts": [timed("lts", task, 0, 75.0 * (1 + task), 1.0) for task in range(5)],
    }
    lines = [line.split() for line in report_text(build_report(rollouts)).splitlines()]
    row, official = [line for line in lines if line[:2] == ["lts", "1.000"]]
    assert official == ["lts", "1.000", "1.000", "1.000", "1.000"]
    assert row[:6] == ["lts", "1.000", "[1.00,", "1.00]", "+1.000", "[+1.00,"]
    assert row[-3:] == ["+25.0", "[+25.0,", "+25.0]"]


def test_short_counts() -> None:
    assert [short_count(one) for one in (0, 950, 12_345, 1_240_000, math.nan)] == ["0", "950", "12.3k", "1.24M", "-"]


def test_learning_curves_are_ranked_and_finite() -> None:
    lines = [
        {"iteration": 3, "learning/loss": 0.5, "credit/return_mean": math.nan, "seed": 1, "note": "x"},
        {"iteration": 1, "learning/loss": 0.9, "credit/return_mean": 0.2, "seed": 1},
        {"iteration": 2, "credit/return_mean": 0.4, "learning/num_skipped": True},
    ]
    first, second = learning_curves(lines)
    assert (first.name, first.x, first.y) == ("credit/return_mean", (1.0, 2.0), (0.2, 0.4))
    assert (second.name, second.x, second.y) == ("learning/loss", (1.0, 3.0), (0.9, 0.5))
    assert learning_curves([]) == ()
    assert len(learning_curves(make_metrics(), max_curves=2)) == 2


def test_policies_that_came_out_the_same_are_said_to_be_one() -> None:
    rollouts = make_rollouts(6, 1)
    rollouts["twin"] = rollouts["lts"]
    notes = " ".join(build_report(rollouts, ReportSettings(highlight="lts")).notes)
    assert "lts and twin came out the same in every rollout" in notes
    assert notes.count("came out the same") == 1


def test_policies_over_fewer_tasks_are_named() -> None:
    rollouts = make_rollouts(6, 2)
    assert not any("tasks: its means" in note for note in build_report(rollouts).notes)
    rollouts["random_0.5"] = rollouts["random_0.5"][:6]
    report = build_report(rollouts)
    (note,) = [note for note in report.notes if "tasks: its means" in note]
    assert note.startswith("random_0.5 was run on 3 of 6 tasks:")
    assert "random_0.5 was run on 3 of 6 tasks:" in report_text(report)


def test_rollouts_that_ran_out_of_budget_are_counted() -> None:
    def spent(rollout: Rollout) -> Rollout:
        last = dataclasses.replace(rollout.answers[-1], text="", stop_reason=StopReason.BUDGET)
        return dataclasses.replace(rollout, answers=(*rollout.answers[:-1], last))

    rollouts = make_rollouts(3, 1)
    assert not any("out of budget" in note for note in build_report(rollouts).notes)
    rollouts["all"][0] = spent(rollouts["all"][0])
    rollouts["judge"] = [spent(one) for one in rollouts["judge"]]
    report = build_report(rollouts)
    assert find_row(report, "judge").num_out_of_budget == 3
    text = report_text(report)
    assert "1 rollout of all ran out of budget; its score says nothing." in text
    assert "3 rollouts of judge ran out of budget; their scores say nothing." in text


def test_text_says_what_a_coin_would_admit() -> None:
    assert "Admitted by chance: 0.50, a coin decides." in report_text(build_report(make_rollouts(2, 1)))
