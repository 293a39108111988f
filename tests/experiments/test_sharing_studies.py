"""The arithmetic of three studies by hand: the crossover line, how answers agree, and rows beside the paper's."""

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

STUDIES = Path(__file__).parents[2] / "experiments"


def modules_of(study: str) -> dict[str, ModuleType]:
    """A study's modules by name; other studies have modules of the same names, so they are put away again."""
    folder = STUDIES / study
    names = [path.stem for path in folder.glob("*.py")]
    away = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    sys.path.insert(0, str(folder))
    try:
        return {name: __import__(name) for name in names}
    finally:
        sys.path.remove(str(folder))
        for name in names:
            sys.modules.pop(name, None)
        sys.modules.update(away)


@pytest.fixture(scope="module")
def hurts() -> dict[str, ModuleType]:
    return modules_of("when_sharing_hurts")


@pytest.fixture(scope="module")
def teams() -> dict[str, ModuleType]:
    return modules_of("teams_and_capacity")


@pytest.fixture(scope="module")
def poison() -> dict[str, ModuleType]:
    return modules_of("poison")


def test_the_first_fall_below_zero(hurts):
    first_fall, x = hurts["crossover"].first_fall, np.array([0.0, 0.2, 0.4])
    assert first_fall(x, np.array([0.3, -0.1, 0.5])) == pytest.approx(0.15)  # 3/4 of the way from 0 to .2
    assert first_fall(x, np.array([-0.1, 0.1, 0.2])) == -np.inf
    assert first_fall(x, np.array([0.1, 0.0, 0.2])) == np.inf  # touching zero is no harm


def test_a_line_of_a_plane_is_found_and_seeds_widen_it(hurts):
    # Difference .1 + .2 overlap - error: a plane, so the fit is exact; it falls below 0 at .1 + .2 overlap.
    overlaps, errors = (0.0, 0.5, 1.0), (0.0, 0.1, 0.2, 0.3, 0.4)
    plane = np.array([[0.1 + 0.2 * overlap - error for error in errors] for overlap in overlaps])
    sure = hurts["crossover"].crossings(np.repeat(plane[..., None], 6, axis=-1), overlaps, errors)
    assert [one.error for one in sure] == pytest.approx([0.1, 0.2, 0.3])
    assert [one.low for one in sure] == pytest.approx([0.1, 0.2, 0.3])
    shifts = np.array([-0.05, -0.03, -0.01, 0.01, 0.03, 0.05])  # of whole seeds, mean 0
    unsure = hurts["crossover"].crossings(plane[..., None] + shifts, overlaps, errors)[1]
    assert unsure.error == pytest.approx(0.2)
    assert 0.16 < unsure.low < 0.19 and 0.21 < unsure.high < 0.24


def test_a_line_beside_the_map_is_a_word(hurts):
    line = hurts["crossover"].Crossing(0.5, 0.25, float("-inf"), float("inf"))
    assert hurts["run"].plain_lines({"wrong": {"all": [line]}}) == {"wrong": {"all": [[0.5, 0.25, "below", "above"]]}}


def test_saved_percent_is_relative_to_no_sharing(hurts):
    measured = {"none": {"runtime_seconds": np.array([200.0])}, "all": {"runtime_seconds": np.array([150.0])}}
    assert hurts["run"].saved_percent(measured)["all"] == pytest.approx([25.0])


def test_answers_are_counted_among_teams_that_have_one(poison):
    answer = np.array([[7, 7, 9], [7, 7, 9], [7, 7, 7], [7, 8, 9]])
    has = np.array([[True, True, True], [True, True, False], [True, False, False], [False, False, False]])
    assert poison["spread"].distinct(answer, has) == pytest.approx([2.0, 1.0, 1.0, 0.0])


def test_groupthink_needs_two_teams_one_answer_and_an_error(poison):
    answer = np.array([[7, 7, 9], [7, 7, 9], [7, 7, 7], [7, 7, 7]])
    has = np.array([[True, True, True], [True, True, False], [True, False, False], [True, True, True]])
    right = np.array([[False] * 3, [False] * 3, [False] * 3, [True] * 3])
    assert poison["spread"].agree_wrongly(answer, has, right).tolist() == [False, True, False, False]


def test_reward_lost_is_a_slope_of_the_points_with_the_worlds_own_detection(poison):
    points = [(0.0, 0.2), (0.1, 0.2), (0.2, 0.2), (0.1, 0.9)]
    fall = np.array([[0.6], [0.5], [0.4], [0.9]]).repeat(5, axis=1)  # -.1 for each .1; the last point does not count
    flat = np.full((4, 5), 0.6)
    found = {name: {"reward": value} for name, value in {"lts": fall, "lts_poisoned": flat, "coin": fall}.items()}
    lines = poison["run"].slopes(found, points, 0.2)
    assert lines[1].split()[:2] == ["lts", "+0.1000"]
    assert "-0.1000 [-0.1000, -0.1000]" in lines[2]  # lts_poisoned loses nothing, so .1 less than lts


def test_the_mean_of_the_largest_of_exponential_times(teams):
    assert teams["run"].harmonic(1) == 1.0
    assert teams["run"].harmonic(3) == pytest.approx(11 / 6)


def test_rows_beside_the_paper(teams):
    seconds = {(1, "none"): 100.0, (2, "none"): 150.0, (2, "all"): 75.0, (2, "lts"): 120.0}
    seconds |= {(1, "all"): 110.0, (1, "lts"): 110.0}
    rows = [{"num_teams": key[0], "policy": key[1], "runtime_seconds": [value] * 3} for key, value in seconds.items()]
    # K = 2: the paper's 1161 / 758 = 1.53 and 828 / 1161 = .71; ours 1.5, .5 and .8.
    assert teams["run"].paper_lines(rows)[2].split()[:7] == ["2", "1.50", "1.53", "1.50", "0.71", "0.50", "0.80"]
    assert teams["run"].paper_lines([rows[1]]) == []
