"""RCR-Router as a system: every line measured, killed and gone on with, choices by hand, what hiding evidence costs."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lts_jax.admission.rules import make_rule
from lts_jax.commands import system
from lts_jax.errors import UserError
from lts_jax.evaluation.answer_quality import quality_by_rule
from lts_jax.llm.chat import Completion, ModelFailure
from lts_jax.records import Message
from lts_jax.rollouts.collect import CollectSettings, Iteration, collect_groups, run_to_end
from lts_jax.storage import read_json
from lts_jax.systems.comparison import make_arm
from lts_jax.systems.rcr import WEIGHTS, chosen_budget, judged, rcr
from lts_jax.systems.rcr_settings import RcrSettings
from lts_jax.systems.rcr_tables import mean_of, recall_of, resolvable, saved
from lts_jax.systems.run_folder import RunFolder
from lts_jax.systems.run_parts import make_parts
from lts_jax.systems.train_settings import TrainSettings

SMALL = RcrSettings(
    num_tasks=6, num_seeds=1, num_validation_tasks=3, num_validation_seeds=1, modes=("greedy",), budgets=(600, 3000)
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], list[str]]:
    path = tmp_path_factory.mktemp("runs") / "rcr"
    told: list[str] = []
    document, figures = rcr(SMALL, RunFolder(path), told.append)
    assert len(figures) == 2 and all("points" in figure for figure in figures)
    return path, document, told


def _line(path: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = read_json(path / "lines" / f"test_{name}.json", dict)
    return found


def test_every_line_is_measured_on_the_same_tasks(run: tuple[Path, dict[str, Any], list[str]]) -> None:
    path, document, told = run
    files = sorted((path / "lines").glob("*.json"))
    assert len(files) == len(told) == len(WEIGHTS) + 5 + 5 + 2  # full, static, reports, two budgets; chance, nothing
    lines = [read_json(file, dict) for file in files if file.name.startswith("test_")]
    assert len({json.dumps([one["task"], one["seed"]]) for one in lines}) == 1
    outcome = document["tables"][0]
    assert [row[0].removesuffix(" *") for row in outcome["rows"]] == [
        "full", "static", "reports", "greedy, 600", "greedy, 3000", *(row[0] for row in outcome["rows"][5:])
    ]  # fmt: skip
    assert all(len(row) == len(one["heads"]) for one in document["tables"] for row in one["rows"])
    assert "imulated" in document["foot"]


def test_what_is_hidden_costs_score_and_what_is_shown_is_counted(run: tuple[Path, dict[str, Any], list[str]]) -> None:
    path = run[0]
    full, nothing = _line(path, "full"), _line(path, "instruction_alone")
    assert recall_of(full) == 1.0 and recall_of(nothing) == 0.0
    assert sum(full["bare"]) < sum(full["calls"]) and nothing["bare"] == nothing["calls"]
    assert mean_of(nothing, "score") < mean_of(full, "score")
    assert sum(nothing["routed_tokens"]) < sum(full["routed_tokens"])
    for one in (full, nothing):
        rows = zip(one["routed_tokens"], one["worker_tokens"], one["prompt_tokens"], strict=True)
        assert all(routed <= workers < everything for routed, workers, everything in rows)
        assert all(quality == 5.0 for quality, score in zip(one["quality"], one["score"], strict=True) if score == 1.0)


def test_a_killed_run_goes_on_to_the_same_document(run: tuple[Path, dict[str, Any], list[str]], tmp_path: Path) -> None:
    path, document, _ = run
    folder = tmp_path / "again"
    (folder / "lines").mkdir(parents=True)
    kept = sorted((path / "lines").glob("*.json"))[::2]
    for file in kept:
        (folder / "lines" / file.name).write_bytes(file.read_bytes())
    told: list[str] = []
    again, _ = rcr(SMALL, RunFolder(folder), told.append)
    assert again == document and len(told) + len(kept) == len(list((path / "lines").glob("*.json")))
    told.clear()
    assert rcr(SMALL, RunFolder(folder), told.append)[0] == document and not told


def _made(score: float, shown: int, tokens: int = 100) -> dict[str, Any]:
    count = 6
    return {
        "task": [f"t{number}" for number in range(count)], "seed": [0] * count, "score": [score] * count,
        "shown": [shown] * count, "needed": [100] * count, "worker_tokens": [tokens] * count,
    }  # fmt: skip


def test_the_smallest_budget_that_shows_enough_and_loses_little_is_chosen() -> None:
    settings = RcrSettings(budgets=(1, 2, 3), modes=("exact",))
    lines = {
        "full": _made(0.5, 100),
        "exact, 1": _made(0.6, 96),
        "exact, 2": _made(0.47, 99),
        "exact, 3": _made(0.49, 98),
    }
    assert chosen_budget(settings, "exact", lines) == 3  # 1 shows too little, 2 loses .03
    lines["exact, 2"] = _made(0.48, 97)
    assert chosen_budget(settings, "exact", lines) == 2
    lines["exact, 2"] = lines["exact, 3"] = _made(0.0, 100)
    assert chosen_budget(settings, "exact", lines) == 3
    assert saved(_made(0.5, 1, 70), lines["full"], "worker_tokens").estimate == pytest.approx(30.0)
    assert resolvable(_made(0.6, 1), lines["full"]) == pytest.approx(0.0)
    assert mean_of({"score": [1.0, None, 0.5]}, "score") == 0.75


@dataclass
class _Judge:
    """Replies in turn; an empty reply is a failure."""

    replies: list[str]
    name: str = "judge"
    asked: list[Message] = field(default_factory=list)

    async def complete(self, messages: Sequence[Message], *, seed: int, json_reply: bool = False) -> Completion:
        self.asked += messages
        reply = self.replies[len(self.asked) - 1]
        if not reply:
            raise ModelFailure("gone")
        return Completion(reply, 1, 1)


def test_a_judge_counts_where_it_gives_a_bare_number() -> None:
    run = make_parts(TrainSettings())
    arm = make_arm("none", run, make_rule("none", run.encoder))
    task = run.tasks("validation", 1)
    [group] = collect_groups(task, arm.parts, arm.rollout, CollectSettings(4), Iteration(0, 0))
    judge = _Judge(["4", "I would say 4.", "", "1."])
    found = run_to_end(judged(judge, group.rollouts))
    rule = [quality_by_rule(one.final.text, task[0].answer or "", one.reward_agg) for one in group.rollouts]
    assert found == [4.0, rule[1], rule[2], 1.0]
    assert all(task[0].question in message.content for message in judge.asked)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"num_tasks": 0}, "rcr.num_tasks: expected at least 1"),
        ({"budgets": ()}, "rcr.budgets: expected numbers of tokens, rising"),
        ({"budgets": (2, 1)}, "rcr.budgets"),
        ({"modes": ("best",)}, "rcr.modes: expected some of greedy, density, exact"),
        ({"tolerance": -0.1}, "expected from 0 to 1"),
    ],
)
def test_wrong_settings_are_one_line(given: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        RcrSettings(**given)


def test_the_command_writes_its_report_and_refuses_other_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny = RcrSettings(
        num_tasks=2, num_seeds=1, num_validation_tasks=1, num_validation_seeds=1, modes=("exact",), budgets=(800,)
    )
    path = tmp_path / "run"
    system.run(system.Command("rcr", run=path, rcr=tiny))
    printed = capsys.readouterr().out
    lines = [line for line in printed.split("\n") if "report: " not in line]
    assert "Test tasks: outcome" in lines and max(map(len, lines)) <= 100
    assert (path / "report.html").exists()
    with pytest.raises(UserError, match=r"made with other settings \(num_tasks was 2, now 60"):
        system.run(system.Command("rcr", run=path))
