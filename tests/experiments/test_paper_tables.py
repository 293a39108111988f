"""The paper's tables as commands: its numbers, one row whole on each kind of model, and what is refused."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "systems"))

from live_endpoint import Scripted, assistantbench_folder, gaia_folder, served

from lts_jax.errors import UserError
from lts_jax.live.task_tools import ToolChoice
from lts_jax.llm.budget import BudgetSettings, Price

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def study() -> dict[str, ModuleType]:
    """The study's modules; other studies have modules of the same names, so they are put away again."""
    folder = ROOT / "experiments" / "paper_tables"
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


@pytest.mark.parametrize(
    ("bench", "backbone", "reduction"),
    [("ab", "Qwen3-32B", 33.9), ("gaia", "Qwen3-32B", 43.1), ("ab", "GPT-5.1", 36.5), ("gaia", "GPT-5.1", 22.3)],
)
def test_the_papers_reductions_relative_to_the_baseline(study, bench, backbone, reduction):
    # The paper prints 40.8, 55.0, 44.6, 25.1: differences over the mean of both.
    rows = study["rows"].ROWS
    before = rows[f"table1_{bench}_m1_parallel"].paper[backbone][1]
    after = rows[f"table1_{bench}_lts"].paper[backbone][1]
    assert 100 * (before - after) / before == pytest.approx(reduction, abs=0.05)
    printed = {33.9: 40.8, 43.1: 55.0, 36.5: 44.6, 22.3: 25.1}[reduction]
    assert 100 * (before - after) / ((before + after) / 2) == pytest.approx(printed, abs=0.1)


def test_rows_are_found_by_name_and_by_table(study):
    chosen = study["config"].chosen_rows
    assert list(chosen(("table4",))) == ["table4_full", "table4_no_usage", "table4_no_sparsity"]
    assert list(chosen(("teams_10_lts", "teams_2_lts"))) == ["teams_2_lts", "teams_10_lts"]
    assert len(chosen(("all",))) == 33 and {"summary_45_50", "decides_judge"} <= set(chosen(("summary", "decides")))
    with pytest.raises(UserError, match="got 'table9'"):
        chosen(("table9",))


def small(study, tmp_path, **changed):
    made = study["config"].Config(
        num_train_tasks=3, num_epochs=1, max_rounds=4, yes=True, runs=tmp_path / "runs", results=tmp_path / "results"
    )
    return replace(made, **changed)


def result(tmp_path, name):
    return json.loads((tmp_path / "results" / f"{name}.json").read_text())


@pytest.mark.slow
def test_a_row_on_the_simulated_model_trains_compares_and_stands_beside_the_paper(study, tmp_path, capsys):
    config = small(study, tmp_path, row=("table4_no_usage",), simulated=True, num_tasks=5, yes=False)
    study["run"].main(config)
    found = result(tmp_path, "simulated")["rows"]["table4_no_usage"]
    assert found["paper"] == {"GPT-5.1": {"score_percent": 47.7, "seconds": 925}}
    assert found["setup"] == "gaia-3teams-no_usage" and found["measured"]["num_tasks"] == 5
    assert found["measured"]["runtime_reduction_percent"]["low"] is not None
    taught = json.loads((tmp_path / "runs/simulated/training-no_usage/config.json").read_text())["train"]
    tested = json.loads((tmp_path / "runs/simulated/gaia-3teams-no_usage/config.json").read_text())["train"]
    assert taught["credit"] == "usage_aware(usage_weight=0)" and (taught["world_seed"], tested["world_seed"]) == (0, 1)
    said = capsys.readouterr().out
    assert "training (no_usage): 15 rollouts" in said and "GPT-5.1 47.7, 925" in said


@pytest.mark.slow
def test_rows_on_an_endpoint_within_a_budget_and_gone_on_with(study, tmp_path, capsys):
    pytest.importorskip("markitdown", reason="reading files needs markitdown, of the extra `web`")
    model = Scripted("FileSurfer", "open_file", {"name": "attachment.csv"})
    with served(model) as base_url:
        config = small(
            study,
            tmp_path,
            row=("table2_gaia_all", "table2_gaia_lts"),
            model="org/scripted",
            endpoint=base_url,
            price=Price(2.0, 10.0),
            budget=BudgetSettings(max_usd=0.10),
            gaia_source=gaia_folder(tmp_path / "gaia", 5),
            assistantbench_source=assistantbench_folder(tmp_path / "bench", {f"a{n}": "otter" for n in range(3)}),
            tools=ToolChoice("live", allow_no_search=True),
        )
        with pytest.raises(UserError, match="budget of the run is used up"):
            study["run"].main(config)
        num_calls = len(model.heard)
        assert num_calls * 0.0003 < 0.10 + 64 * 0.0003
        study["run"].main(replace(config, budget=BudgetSettings(max_usd=5.0)))
        num_whole = len(model.heard)
        study["run"].main(config)  # all is there: nothing is asked, nothing more is spent
        assert len(model.heard) == num_whole > num_calls
    rows = result(tmp_path, "org_scripted")["rows"]
    assert list(rows) == ["table2_gaia_all", "table2_gaia_lts"]
    assert all(one["measured"]["score"]["estimate"] == 1.0 and one["measured"]["usd"] > 0 for one in rows.values())
    said = capsys.readouterr().out
    assert "training (full): 15 rollouts of 3 teams" in said and "$" in said


def test_a_controller_is_not_tested_on_what_it_was_trained_on(study, tmp_path):
    source = assistantbench_folder(tmp_path / "bench", {f"a{number}": "otter" for number in range(3)})
    asked = small(
        study, tmp_path, row=("table1_ab_lts",), model="m", endpoint="http://127.0.0.1:9/v1",
        assistantbench_source=source, assistantbench_split="validation",
        tools=ToolChoice("live", allow_no_search=True),
    )  # fmt: skip
    with pytest.raises(UserError, match="trained on 3 of the 3 tasks"):
        study["run"].main(asked)
    assert not (tmp_path / "runs").exists()
    with pytest.raises(UserError, match="expected --model"):
        study["config"].Config(row=("table1",))
