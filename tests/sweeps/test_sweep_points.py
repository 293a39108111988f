"""Axes and points: what each form means, and what each mistake is told."""

import json
from itertools import pairwise

import pytest
from small_sweep import BASE, KNOWN, Settings, small_plan

from lts_jax.errors import UserError
from lts_jax.sweeps.fields import replace_fields, sweep_fields, value_of
from lts_jax.sweeps.plan import PointSettings, SweepPlan, make_points, with_settings
from lts_jax.sweeps.points import Axis, Range, grid, parse_axis, random_points, read_points, zip_axes
from lts_jax.sweeps.text import TextSettings

WEIGHT = "learning.sparsity_weight"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{WEIGHT}=0,.1,1e-3", Axis(WEIGHT, (0.0, 0.1, 0.001))),
        ("learning.sparsity-weight = 2", Axis(WEIGHT, (2.0,))),
        ("train.credit=reinforce", Axis("credit", ("reinforce",))),
        (f"{WEIGHT}=0:.3:4", Axis(WEIGHT, (0.0, 0.1, 0.2, 0.3))),
        (f"{WEIGHT}=.01:100:5:log", Axis(WEIGHT, (0.01, 0.1, 1.0, 10.0, 100.0))),
        ("shape.num_teams=1:64:7:log", Axis("shape.num_teams", (1, 2, 4, 8, 16, 32, 64))),
        ("shape.num_teams=1,2", Axis("shape.num_teams", (1, 2))),
        ("shape.has_bank=true,False", Axis("shape.has_bank", (True, False))),
        ("learning.bonus_on=return,advantage", Axis("learning.bonus_on", ("return", "advantage"))),
        ("learning.loss_temperature=none,1.5", Axis("learning.loss_temperature", (None, 1.5))),
        ("folder=none,http://x:1", Axis("folder", (None, "http://x:1"))),
    ],
)
def test_an_axis_as_a_grid_reads_it(text, expected):
    axis = parse_axis(KNOWN, text)
    assert axis == expected
    assert [type(value) for value in axis.values] == [type(value) for value in expected.values]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{WEIGHT}=0:2", Range(WEIGHT, 0.0, 2.0)),
        (f"{WEIGHT}=.1:2:log", Range(WEIGHT, 0.1, 2.0, is_log=True)),
        ("shape.num_teams=1:3", Range("shape.num_teams", 1, 3, is_whole=True)),
        ("credit=reinforce,comam", Axis("credit", ("reinforce", "comam"))),
    ],
)
def test_an_axis_as_random_points_read_it(text, expected):
    assert parse_axis(KNOWN, text, at_random=True) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("credit", "expected field=value,value or field=low:high:count, got 'credit'"),
        ("credit=", "credit: expected at least one value"),
        (
            "sparsity_weight=1",
            "sparsity_weight: no such field; the nearest are learning.sparsity_weight, credit.first_weight",
        ),
        (
            "learning.sparse_weight=1",
            "learning.sparse_weight: no such field; the nearest are learning.sparsity_weight, credit.usage_weight",
        ),
        ("zzz=1", "zzz: no such field"),
        ("seed=1,2", "seed: seeds are shared by all points of a sweep; set their number with --seeds"),
        ("shape.names=a", "shape.names: has no single value, so it cannot be swept"),
        (f"{WEIGHT}=much", f"{WEIGHT}: expected a number, got 'much'"),
        (f"{WEIGHT}=inf", f"{WEIGHT}: expected a finite number, got 'inf'"),
        (f"{WEIGHT}=1,", f"{WEIGHT}: expected a number, got ''"),
        (f"{WEIGHT}=1:0:3", f"{WEIGHT}: expected low:high with low below high, got 1:0"),
        (f"{WEIGHT}=0:1:3:log", f"{WEIGHT}: a logarithmic range starts above 0, got 0"),
        (f"{WEIGHT}=0:1", f"{WEIGHT}: expected low:high:count or low:high:count:log, count from 2 on, got '0:1'"),
        (f"{WEIGHT}=0:1:1", f"{WEIGHT}: expected low:high:count or low:high:count:log, count from 2 on, got '0:1:1'"),
        ("shape.num_teams=1.5", "shape.num_teams: expected a whole number, got '1.5'"),
        ("shape.num_teams=1:2:3", "shape.num_teams: 1:2:3 gives 1.5, but only whole numbers are meant"),
        ("shape.has_bank=1", "shape.has_bank: expected true or false, got '1'"),
        ("learning.bonus_on=both", "learning.bonus_on: expected one of advantage, return, got 'both'"),
        ("learning.loss_temperature=none:2:3", "learning.loss_temperature: a range needs two numbers, got 'none'"),
    ],
)
def test_a_wrong_axis_is_one_line(text, said):
    with pytest.raises(UserError) as refused:
        parse_axis(KNOWN, text)
    assert str(refused.value) == said


def test_a_range_for_random_points_takes_no_count():
    with pytest.raises(UserError, match=r"drawn from low:high or low:high:log, got '0:1:3'"):
        parse_axis(KNOWN, f"{WEIGHT}=0:1:3", at_random=True)


def test_a_grid_changes_its_last_axis_fastest_and_a_list_goes_side_by_side():
    axes = [Axis("a", (1, 2)), Axis("b", ("x", "y"))]
    assert grid(axes) == ({"a": 1, "b": "x"}, {"a": 1, "b": "y"}, {"a": 2, "b": "x"}, {"a": 2, "b": "y"})
    assert zip_axes(axes) == ({"a": 1, "b": "x"}, {"a": 2, "b": "y"})
    with pytest.raises(UserError, match=r"a list needs axes of one length, got a=2, b=1"):
        zip_axes([axes[0], Axis("b", ("x",))])


def test_random_points_are_even_within_their_range_and_a_prefix_of_more():
    axes = [Range("w", 0.01, 100.0, is_log=True), Range("n", 1, 4, is_whole=True), Axis("c", ("a", "b"))]
    points = random_points(axes, 4000, seed=3)
    assert random_points(axes, 10, seed=3) == points[:10] != random_points(axes, 10, seed=4)
    decades = [sum(0.01 * 10**place <= point["w"] < 0.1 * 10**place for point in points) for place in range(4)]
    assert sum(decades) == 4000 and all(abs(count - 1000) < 120 for count in decades)  # 4 standard deviations
    for field, values in (("n", (1, 2, 3, 4)), ("c", ("a", "b"))):
        counts = [sum(point[field] == value for point in points) for value in values]
        assert sum(counts) == 4000 and all(abs(count - 4000 / len(values)) < 130 for count in counts)


def test_points_from_files_are_those_of_the_command_line(tmp_path):
    expected = ({WEIGHT: 0.5, "credit": "reinforce"}, {WEIGHT: 1.0, "credit": "comam"})
    (tmp_path / "p.jsonl").write_text(
        '{"learning.sparsity_weight": 0.5, "credit": "reinforce"}\n\n'
        '{"learning.sparsity_weight": 1, "credit": "comam"}\n'
    )
    (tmp_path / "p.csv").write_text("learning.sparsity_weight,credit\n.5,reinforce\n1,comam\n")
    assert read_points(KNOWN, tmp_path / "p.jsonl") == read_points(KNOWN, tmp_path / "p.csv") == expected
    (tmp_path / "none.jsonl").write_text('{"learning.loss_temperature": null}\n')
    assert read_points(KNOWN, tmp_path / "none.jsonl") == ({"learning.loss_temperature": None},)


def test_only_a_line_feed_ends_a_line_of_points(tmp_path):
    odd = "a\u2028b\x85c"
    lines = "\r\n".join(json.dumps({"folder": name}, ensure_ascii=False) for name in (odd, "d"))
    (tmp_path / "p.jsonl").write_text("\ufeff" + lines, encoding="utf-8", newline="")
    (tmp_path / "p.csv").write_text(f"\ufefffolder\r\n{odd}\r\nd\r\n", encoding="utf-8", newline="")
    for name in ("p.jsonl", "p.csv"):
        assert read_points(KNOWN, tmp_path / name) == ({"folder": odd}, {"folder": "d"})


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.jsonl", "", "holds no point"),
        ("b.jsonl", "{}\n", "holds no point"),
        ("c.jsonl", '{"credit": "reinforce"}\n[1]\n', "line 2 is not a JSON object"),
        ("i.jsonl", "[" * 100_000, "line 1 is not a JSON object"),
        ("d.jsonl", '{"credit": "reinforce"}\n{"folder": "a"}\n', "point 2 has other fields than the first"),
        ("e.csv", "credit,folder\na\n", "point 1 has other fields than the first, or is cut short"),
        ("f.csv", "credit\na,b\n", "point 1 has other fields than the first, or is cut short"),
        ("g.csv", "lerning.sparsity_weight\n1\n", "no such field; the nearest are learning.sparsity_weight"),
        ("h.csv", "shape.num_teams\n1.5\n", "shape.num_teams: expected a whole number"),
    ],
)
def test_a_wrong_file_of_points_is_one_line(tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=said.replace(".", r"\.")):
        read_points(KNOWN, tmp_path / name)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "a sweep needs at least one axis"),
        ({"over": ("credit=reinforce",), "mode": "some"}, "mode: expected grid, random or list, got 'some'"),
        ({"over": ("credit=reinforce",), "mode": "random"}, "mode random needs the number of points"),
        ({"over": ("credit=reinforce",), "num_points": 3}, "mode random needs the number of points, and no other mode"),
        ({"over": ("credit=reinforce",), "mode": "random", "num_points": 0}, "num_points: expected at least 1, got 0"),
        ({"over": ("credit=reinforce",), "file": "f"}, "a file of points goes with mode list"),
        ({"over": ("credit=reinforce", "credit=comam")}, "credit: named by two axes"),
        ({"over": (f"{WEIGHT}=1,1.0",)}, f"{WEIGHT}: the value 1.0 stands there twice"),
        (
            {"over": (f"{WEIGHT}=0:1:2000", "learning.loss_temperature=1:2:2000")},
            "at most 100,000 points, got 4,000,000",
        ),
    ],
)
def test_points_that_make_no_sense(settings, said):
    with pytest.raises(UserError, match=said):
        make_points(BASE, PointSettings(**settings))


def test_a_point_twice_is_refused():
    with pytest.raises(UserError, match=r"^points 1 and 3 are the same: credit=reinforce$"):
        SweepPlan("simulator", BASE, ({"credit": "reinforce"}, {"credit": "comam"}, {"credit": "reinforce"}))


def test_what_a_record_refuses_is_said_in_its_words_before_anything_runs():
    with pytest.raises(UserError) as refused:
        small_plan((f"{WEIGHT}=1,-1",))
    assert str(refused.value) == ("sparsity_weight: expected at least 0, got -1.0 (at learning.sparsity_weight=-1)")
    for changed, said in (({"num_seeds": 0}, "num_seeds"), ({"pairs_per_program": 0}, "pairs_per_program")):
        with pytest.raises(UserError, match=f"{said}: expected at least 1, got 0"):
            small_plan(**changed)
    with pytest.raises(UserError, match="first_seed: expected from 0"):
        small_plan(first_seed=-1)


def test_values_that_are_right_only_together_are_set_together():
    """Neither six teams with four steps nor the order of the fields matters: only the result is checked."""
    for names in (("shape.num_teams", "shape.num_steps"), ("shape.num_steps", "shape.num_teams")):
        made = replace_fields(BASE, KNOWN, dict.fromkeys(names, 6))
        assert (made.shape.num_teams, made.shape.num_steps) == (6, 6)
        assert made.learning is BASE.learning


def test_settings_for_all_points():
    made = with_settings(BASE, ["learning.bonus-on=return", "shape.has_bank=false", "credit=reinforce"])
    assert made == Settings(
        credit="reinforce",
        learning=replace_fields(BASE, KNOWN, {"learning.bonus_on": "return"}).learning,
        shape=replace_fields(BASE, KNOWN, {"shape.has_bank": False}).shape,
    )
    for given, said in (
        (["credit"], "expected field=value, got 'credit'"),
        (["credit=gae", "credit=comam"], "set twice"),
    ):
        with pytest.raises(UserError, match=said):
            with_settings(BASE, given)


def test_fields_of_the_training_part_go_by_their_own_names():
    text = TextSettings()
    known = sweep_fields(text)
    assert known["learning.sparsity_weight"].path == ("train", "learning", "sparsity_weight")
    assert known["policy"].path == ("policy",) and known["validation.num_tasks"].path == ("validation", "num_tasks")
    made = with_settings(text, ["learning.sparsity_weight=.5", "credit=leave_one_out", "validation.num_tasks=3"])
    assert (made.train.learning.sparsity_weight, made.train.credit, made.validation.num_tasks) == (
        0.5,
        "leave_one_out",
        3,
    )
    assert len(set(known)) == len(known) and all(one != other for one, other in pairwise(known))


def test_a_value_from_json_is_read_as_its_text():
    assert value_of(KNOWN["shape.has_bank"], True) is True
    assert value_of(KNOWN[WEIGHT], 3) == 3.0 and isinstance(value_of(KNOWN[WEIGHT], 3), float)
    with pytest.raises(UserError, match="expected a whole number, got 'true'"):
        value_of(KNOWN["shape.num_teams"], True)
