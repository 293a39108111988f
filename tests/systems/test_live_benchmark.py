"""`lts benchmark` from settings to score: a scripted model over HTTP, live tools, folders like the benchmarks'."""

import io
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from live_endpoint import Scripted, assistantbench_folder, gaia_folder, served

from lts_jax.commands import benchmark, rollout
from lts_jax.errors import UserError
from lts_jax.live.benchmarks import BenchmarkSettings
from lts_jax.live.task_tools import ToolChoice, check_search, search_settings
from lts_jax.live.tools.kit import ToolSettings
from lts_jax.live.tools.sandbox_settings import UNSANDBOXED, SandboxSettings
from lts_jax.live.tools.search import SearchSettings
from lts_jax.llm.budget import BudgetSettings, Price
from lts_jax.records import Task
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.rollouts.store import read_folder
from lts_jax.systems.lts import TrainSettings
from lts_jax.systems.run_folder import open_run
from lts_jax.systems.task_source import TaskSettings, refuse_leak, source_tasks
from lts_jax.systems.world import ModelSettings
from lts_jax.teams.settings import TeamSettings

PRICE = Price(2.0, 10.0)
ANSWERS = {f"zebra-id-{number}": "otter" for number in range(6)}


class Programs(Scripted):
    """The Coder's program prints the answer; the terminal runs it."""

    def _reply(self, messages):
        opening = messages[-1].content.split("\n", 1)[0]
        if opening == "Write code.":
            return "```python\nprint('answer' + '-' + 'otter')\n```"
        reply = super()._reply(messages)
        if opening == "Progress check." and any(each.name == "Coder" for each in messages):
            return reply.replace('"Coder"', '"ComputerTerminal"')
        return reply


def programs(**changed):
    return Programs("Coder", "", {}, **changed)


def command(tmp_path, base_url, source, **changed):
    settings = benchmark.Command(
        run=tmp_path / "run",
        benchmark=BenchmarkSettings(source=source),
        policies=("m1_parallel", "all"),
        num_in_flight=2,
        yes=True,
        model=ModelSettings(name="scripted", base_url=base_url, price=PRICE),
        rollout=RolloutSettings(num_teams=2, team=TeamSettings(max_rounds=4)),
        tools=ToolChoice(
            "live", ToolSettings(sandbox=SandboxSettings(run_unsandboxed=UNSANDBOXED)), allow_no_search=True
        ),
    )
    return replace(settings, **changed)


def rows(folder):
    return {row["policy"]: row for row in json.loads((folder / "report.json").read_text())["rows"]}


def test_a_right_answer_scores_one_and_no_prompt_holds_the_reference(tmp_path, capsys):
    source = assistantbench_folder(tmp_path / "zebra-folder", ANSWERS)
    model = programs()
    with served(model) as base_url:
        benchmark.run(command(tmp_path, base_url, source))
    found, said = rows(tmp_path / "run"), capsys.readouterr().out
    for policy in ("m1_parallel", "all"):
        assert found[policy]["score"]["estimate"] == 1.0 and found[policy]["num_rollouts"] == 6
        assert found[policy]["runtime_seconds"]["estimate"] > 0 and found[policy]["tokens"] > 0
        # 100 tokens at $2 and 10 at $10 a million: 0.0003 dollars a call
        [one, *_] = next(read_folder(tmp_path / "run" / "evaluation" / policy)).rollouts
        assert one.clock == "real" and sum(call.usd for call in one.calls) == pytest.approx(0.0003 * len(one.calls))
    assert found["all"]["num_pairs"] == 6 and found["all"]["runtime_reduction_percent"]["low"] is not None
    assert found["all"]["admission_fraction"] == 1.0 and found["m1_parallel"]["admission_fraction"] is None
    assert "Estimate of what is left" in said and "measured on 6 tasks of the simulated world" in said
    assert "6 tasks of assistantbench, validation split (scored here)" in said and "saved %" in said
    assert len(model.heard) > 60
    before_the_program = [text for text, _ in model.heard if "print(" not in text and "answer-" not in text]
    assert len(before_the_program) >= 6 and not [text for text in before_the_program if "otter" in text]
    assert not [text for text, _ in model.heard if "zebra" in text.lower() or str(tmp_path) in text]


def test_an_attachment_is_what_answers_a_gaia_task(tmp_path):
    pytest.importorskip("markitdown", reason="reading files needs markitdown, of the extra `web`")
    source = gaia_folder(tmp_path / "gaia")
    model = Scripted("FileSurfer", "open_file", {"name": "attachment.csv"})
    with served(model) as base_url:
        benchmark.run(command(tmp_path, base_url, source, benchmark=BenchmarkSettings("gaia", source=source)))
    assert rows(tmp_path / "run")["all"]["score"]["estimate"] == 1.0
    assert [text for text, _ in model.heard if "Files at hand: attachment.csv" in text]
    assert not [text for text, _ in model.heard if "zebra" in text.lower() or str(tmp_path) in text]
    before_the_file = [text for text, _ in model.heard if "ducks\n" not in text and "answer-" not in text]
    assert len(before_the_file) >= 6 and not [text for text in before_the_file if "pond0" in text or "pond1" in text]


def test_a_split_without_answers_is_never_scored_but_submitted(tmp_path, capsys):
    source = assistantbench_folder(tmp_path / "bench", dict.fromkeys(ANSWERS, "otter"), split="test")
    chosen = BenchmarkSettings(source=source, split="test")
    with served(programs()) as base_url:
        benchmark.run(command(tmp_path, base_url, source, benchmark=chosen, policies=("m1_parallel",)))
    row = rows(tmp_path / "run")["m1_parallel"]
    assert row["score"]["estimate"] is None and row["num_unscored"] == 6
    lines = (tmp_path / "run" / "submission_m1_parallel.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"id": each, "answer": "otter"} for each in ANSWERS]
    assert "answers withheld" in capsys.readouterr().out


def test_nothing_is_spent_without_a_yes(tmp_path, monkeypatch):
    source = assistantbench_folder(tmp_path / "bench", ANSWERS)
    model = programs()
    with served(model) as base_url:
        asked = command(tmp_path, base_url, source, yes=False, policies=("m1_parallel",))
        monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
        with pytest.raises(UserError, match="give --yes"):
            benchmark.run(asked)
        assert not model.heard and not (tmp_path / "run").exists()


@pytest.mark.parametrize(("typed", "goes_on"), [("y", True), ("n", False), ("", False), (None, False)])
def test_a_terminal_is_asked(typed, goes_on, monkeypatch, capsys):
    from lts_jax.commands.confirm import confirm

    class Terminal:
        def isatty(self):
            return True

    def answer(prompt):
        if typed is None:
            raise EOFError
        return typed

    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("builtins.input", answer)
    if goes_on:
        confirm("costs $3", yes=False)
    else:
        with pytest.raises(UserError, match="nothing was spent"):
            confirm("costs $3", yes=False)
    assert "costs $3" in capsys.readouterr().out


def test_a_used_up_budget_stops_in_one_line_and_the_same_command_goes_on(tmp_path, capsys):
    source = assistantbench_folder(tmp_path / "bench", ANSWERS)
    model = programs()
    with served(model) as base_url:
        small = ModelSettings(
            name="scripted", base_url=base_url, price=PRICE, budget=BudgetSettings(max_usd=0.05), max_in_flight=1
        )
        whole = command(tmp_path, base_url, source)
        with pytest.raises(UserError, match="budget of the run is used up"):
            benchmark.run(replace(whole, model=small))
        spent = len(model.heard)
        assert spent * 0.0003 <= 0.05 + 2 * 2 * 0.0003  # what was in flight
        benchmark.run(whole)
    assert len(model.heard) - len(set(model.heard)) <= 1 and len(model.heard) > spent  # the one in flight at the stop
    assert rows(tmp_path / "run")["all"]["score"]["estimate"] == 1.0
    assert "Estimate of what is left" in capsys.readouterr().out


@pytest.mark.slow
def test_a_killed_run_repeats_no_finished_call(tmp_path):
    source = assistantbench_folder(tmp_path / "bench", ANSWERS)
    model = programs(seconds=0.02)
    with served(model) as base_url:
        flags = [
            f"--run={tmp_path / 'run'}", f"--benchmark.source={source}", "--policies", "m1_parallel",
            "--num-in-flight=2", "--yes", "--model.name=scripted", f"--model.base-url={base_url}",
            "--rollout.num-teams=2", "--rollout.team.max-rounds=4", "--tools.allow-no-search",
            f"--tools.live.sandbox.run-unsandboxed={UNSANDBOXED}",
        ]  # fmt: skip
        line = [sys.executable, "-m", "lts_jax.cli", "benchmark", *flags]
        first = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 1200
        while len(model.heard) < 30 and time.monotonic() < deadline and first.poll() is None:
            time.sleep(0.01)
        assert first.poll() is None, first.stderr.read()
        first.send_signal(signal.SIGKILL)
        first.wait()
        time.sleep(0.2)
        before = len(model.heard)
        done = subprocess.run(line, check=False, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr
    repeated = sum(count - 1 for count in Counter(model.heard).values())
    assert repeated <= 4  # 2 rollouts of 2 teams had at most one call each in flight
    assert before >= 30 and rows(tmp_path / "run")["m1_parallel"]["score"]["estimate"] == 1.0


def task(task_id, question):
    return Task(task_id, question, "x", "validation")


def test_a_task_trained_on_is_not_tested_on():
    refuse_leak([task("a", "Who?")], [task("b", "Whom?")])
    with pytest.raises(UserError, match=r"trained on 1 of the 2 tasks .*first is b"):
        refuse_leak([task("a", "Who  is\nit?")], [task("b", "who is it?"), task("c", "Else?")])


def test_halves_are_apart_and_whole(tmp_path):
    source = assistantbench_folder(tmp_path, {f"id-{number}": "x" for number in range(9)})
    bench = BenchmarkSettings(source=source)
    settings = TaskSettings("benchmark", bench, bench, halved=True)
    first, second = (source_tasks(settings, 0, part) for part in ("train", "test"))
    assert len(first) == 4 and len(second) == 5 and source_tasks(settings, 0, "validation", 2) == first[:2]
    refuse_leak(first, second)
    assert {each.task_id for each in (*first, *second)} == {f"id-{number}" for number in range(9)}
    with pytest.raises(UserError, match="4 tasks to train on, got 5"):
        source_tasks(settings, 0, "train", 5)
    with pytest.raises(UserError, match="one benchmark"):
        TaskSettings("benchmark", bench, BenchmarkSettings("gaia"), halved=True)
    with pytest.raises(UserError, match="withholds"):
        TaskSettings("benchmark", BenchmarkSettings(split="test"))


def test_live_tools_on_a_benchmark_need_a_search(monkeypatch):
    with pytest.raises(UserError, match="need a search endpoint"):
        check_search(ToolChoice("live"))
    monkeypatch.delenv("BRAVE_API_KEY", raising=False)
    brave = ToolChoice("live", ToolSettings(search=search_settings("brave", SearchSettings())))
    with pytest.raises(UserError, match="BRAVE_API_KEY"):
        check_search(brave)
    monkeypatch.setenv("BRAVE_API_KEY", "secret")
    check_search(brave)
    own = search_settings("http://127.0.0.1:8080/search", SearchSettings(num_results=3))
    assert own == SearchSettings("http://127.0.0.1:8080/search", num_results=3)
    with pytest.raises(UserError, match="brave"):
        search_settings("duck", SearchSettings())


def test_only_the_simulated_model_with_the_offline_tools_takes_no_real_time():
    assert TrainSettings().virtual_time
    assert not TrainSettings(tools=ToolChoice("live")).virtual_time
    assert not TrainSettings(model=ModelSettings("other")).virtual_time


def test_a_controller_trained_on_these_tasks_is_refused_before_anything_is_asked(tmp_path):
    source = assistantbench_folder(tmp_path / "bench", ANSWERS)
    bench = BenchmarkSettings(source=source)
    open_run(tmp_path / "taught", TrainSettings(num_tasks=3, tasks=TaskSettings("benchmark", train=bench)))
    model = programs()
    with served(model) as base_url, pytest.raises(UserError, match="trained on 3 of the 6 tasks"):
        benchmark.run(command(tmp_path, base_url, source, controller=tmp_path / "taught"))
    assert not model.heard and not (tmp_path / "run").exists()


def test_one_task_of_a_benchmark_is_told_step_by_step(tmp_path, capsys):
    pytest.importorskip("markitdown", reason="reading files needs markitdown, of the extra `web`")
    chosen = TaskSettings("benchmark", test=BenchmarkSettings("gaia", source=gaia_folder(tmp_path / "gaia")))
    with served(Scripted("FileSurfer", "open_file", {"name": "attachment.csv"})) as base_url:
        training = TrainSettings(
            tasks=chosen,
            tools=ToolChoice("live", allow_no_search=True),
            model=ModelSettings("scripted", base_url=base_url),
        )
        rollout.run(rollout.Command(task="zebra-id-1", train=training))
    said = capsys.readouterr().out
    assert "reference 'pond1': score 1.000" in said and "real time" in said
    with pytest.raises(UserError, match="no task 'nope' among the 2 tested"):
        rollout.run(rollout.Command(task="nope", train=training))
