"""The front door: each call with objects, functions and texts; what is wrong is one line and writes nothing."""

import asyncio
import json
import subprocess
import sys
from types import SimpleNamespace

import chex
import numpy as np
import optax
import pytest

import lts_jax as lts
from lts_jax.evaluation.tables import COLUMNS, KEYS, rollout_tables
from lts_jax.llm.chat import FailureKind, ModelFailure
from lts_jax.llm.client_model import ClientModel
from lts_jax.llm.openai_settings import OpenAIChatSettings
from lts_jax.records import Message
from lts_jax.rollouts.collect import CollectSettings
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.systems.brought import bring
from lts_jax.teams.settings import TeamSettings

SMALL = lts.TrainSettings(
    num_tasks=1,
    num_epochs=2,
    tasks_per_update=1,
    rollout=RolloutSettings(num_teams=2, team=TeamSettings(max_rounds=6)),
    collect=CollectSettings(num_rollouts=2),
    controller="set_transformer(width=8, num_layers=1, num_heads=1)",
)


def one_each(trajectory, *, pay: float = 0.5):
    """Pays every admission the same."""
    _, counted_g = lts.episode_return(trajectory)
    return lts.per_decision(pay * trajectory.action_gkt, trajectory, counted_g)


def short(request, *, max_words=12):
    return len(request.step.summary.split()) <= max_words


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    heard = []
    made = lts.train(
        tmp_path_factory.mktemp("runs") / "one",
        settings=SMALL,
        credit=one_each,
        optimizer=optax.sgd(0.1),
        progress=lambda iteration, line: heard.append((iteration, line["credit/mean"])),
    )
    assert [iteration for iteration, _ in heard] == [0, 1]
    return made


def test_every_name_is_there_and_importing_is_light():
    code = (
        "import sys, time; start = time.process_time(); import lts_jax as lts; took = time.process_time() - start\n"
        "assert took < 6 and not {'jax', 'numpy', 'openai'} & set(sys.modules), took\n"
        "assert all(getattr(lts, name) is not None for name in lts.__all__)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="no attribute 'tarin'"):
        lts.tarin  # noqa: B018, asked for


def test_a_run_is_read_as_it_was_made(run):
    names = json.loads((run.path / "parts.json").read_text())
    assert names["credit"] == f"{__name__}:one_each"
    assert names["optimizer"].startswith("optax")
    assert len(run.metrics) == 2
    found = lts.load(run.path, credit=one_each, optimizer=optax.sgd(0.1))
    chex.assert_trees_all_equal(found.params, run.params)
    assert found.settings == run.settings and found.policy().name == run.policy().name


def test_other_parts_do_not_go_on_with_a_run(run):
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    with pytest.raises(lts.UserError, match=r"made with other parts \(credit was '.*one_each', now 'usage_aware'\)"):
        lts.train(run.path, settings=SMALL, optimizer=optax.sgd(0.1), progress=False)
    assert {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()} == before


def test_the_credit_of_each_decision_is_kept(run):
    decisions = run.tables()["decisions"]
    assert len(decisions) and set(decisions.line) == {"training"}
    np.testing.assert_allclose(decisions.credit, 0.5 * decisions.action)


def test_tables_have_the_columns_that_are_documented(run):
    tables = run.tables()
    assert list(tables) == list(COLUMNS)
    for name, frame in tables.items():
        assert list(frame.columns) == [*KEYS, *COLUMNS[name]]
    assert all(frame.empty for frame in rollout_tables([]).values())
    pulls = tables["pulls"].merge(tables["entries"], on=[*KEYS, "entry"], validate="many_to_one")
    assert len(pulls) == len(tables["pulls"]) and (pulls.team == pulls.writer).all()
    used = tables["decisions"].query("used")
    assert len(used) == (tables["entries"].num_readers > 0).sum()
    with pytest.raises(lts.UserError, match="no run folder"):
        lts.tables(run.path / "checkpoints")


def test_an_evaluation_compares_rules_of_ones_own(run, tmp_path):
    file = tmp_path / "rules.py"
    file.write_text("def short(request, *, max_words=12):\n    return len(request.step.summary.split()) <= max_words\n")
    own = f"{file}:short(max_words=15)"
    found = lts.evaluate(run, policies=["m1_parallel", own, "lts"], num_tasks=2, num_seeds=1, progress=False)
    assert set(found) == {"m1_parallel", own, "lts"}
    assert {one.policy for one in found[own]} == {own}
    assert "m1_parallel" in lts.report(run)
    assert set(run.tables()["rollouts"].line) == {"training", *found}


def test_a_rule_is_a_function_of_a_request():
    task = lts.rollout(settings=SMALL).task
    rollout = lts.rollout(task, settings=SMALL, policy=short)
    assert rollout.policy == f"{__name__}:short"
    summaries = {(step.team, step.step): step.summary for step in rollout.steps}
    assert rollout.decisions
    for decision in rollout.decisions:
        words = len(summaries[decision.team, decision.step].split())
        assert (decision.action == 1) == (words <= 12)
    coin = lts.rollout(task, settings=SMALL, policy=lambda request: 0.5)
    same = lts.rollout(task, settings=SMALL, policy="random")
    assert [one.action for one in coin.decisions] == [one.action for one in same.decisions]


def test_what_lists_only_some_keys_says_so_in_its_rollouts():
    assert lts.rollout(settings=SMALL, policy="recency(window=3)").listing_window == 3
    assert lts.rollout(settings=SMALL, policy="m1_parallel").listing_window == 0
    assert lts.rollout(settings=SMALL, policy="all").listing_window is None


def test_a_question_that_the_simulated_model_cannot_know_is_refused():
    for asked in ("How deep is the sea?", lts.Task("own", "How deep is the sea?", "deep")):
        with pytest.raises(lts.UserError, match="the simulated model knows the offline world alone"):
            lts.rollout(asked, settings=SMALL)


def test_own_tasks_as_dicts_are_divided_and_fitted():
    rows = [{"question": f"What is {n}?", "answer": str(n)} for n in range(10)]
    model = SimpleNamespace(name="fake", complete=None)
    parts = bring(SMALL, fits_tasks=True, tasks=rows, model=model, tools=lambda tool, arguments: None, scorer="exact")
    sides = {side: [task.question for task in parts.tasks(side)] for side in ("train", "validation", "test")}
    assert sorted(map(len, sides.values())) == [2, 2, 6] and len({q for side in sides.values() for q in side}) == 10
    assert (parts.settings.num_tasks, parts.settings.tasks_per_update) == (6, 3)
    assert {task.scoring for task in parts.tasks("test")} == {"exact"}
    assert not parts.virtual_time


@pytest.mark.parametrize(
    ("brought", "complaint"),
    [
        ({"colour": 3}, "colour: expected one of credit, network, encoder"),
        ({"teams": "three"}, "teams: expected their number, RolloutSettings, a function or its text, got 'three'"),
        ({"tasks": 3}, "tasks: expected a file, Task records or dicts with question and answer, got 3"),
        ({"tasks": [{"question": "", "answer": "x"}]}, r"tasks\[0\]: expected a question, got ''"),
        ({"tools": ["nowhere"]}, "tools: nowhere: no such folder, and no FILE.py or FILE.py:FUNCTION"),
        ({"model": 3}, "model: expected a ChatModel or an AsyncOpenAI client, got a value of type int"),
        ({"credit": "usage_awar"}, "credit: expected a name"),
        ({"network": 3}, "controller:"),
        ({"credit": lambda trajectory: trajectory.reward_agg_g}, r"expected shape \[G, K, T\]"),
    ],
)
def test_what_is_none_of_these_is_one_line_and_writes_nothing(tmp_path, brought, complaint):
    with pytest.raises(lts.UserError, match=complaint) as caught:
        lts.train(tmp_path / "run", settings=SMALL, progress=False, **brought)
    assert "\n" not in str(caught.value) and not (tmp_path / "run").exists()


class Completions:
    """A client's `chat.completions`: one reply, or what goes wrong."""

    def __init__(self, answer):
        self.answer, self.bodies = answer, []

    async def create(self, **body):
        self.bodies.append(body)
        if isinstance(self.answer, BaseException):
            raise self.answer
        if self.answer is None:
            await asyncio.sleep(60)
        return SimpleNamespace(model_dump_json=lambda: json.dumps(self.answer))


class RateLimitError(Exception):
    pass


def ask(answer, **settings):
    """One call over a client; what it was asked."""
    completions = Completions(answer)
    client = SimpleNamespace(chat=SimpleNamespace(completions=completions))
    model = ClientModel(client, OpenAIChatSettings("gpt-x", **settings))
    return asyncio.run(model.complete([Message("user", "Hi")], seed=3, json_reply=True)), completions.bodies


def test_a_client_is_a_chat_model():
    said = {"model": "gpt-x-1", "choices": [{"message": {"content": "Hello"}}],
            "usage": {"prompt_tokens": 7, "completion_tokens": 2}}  # fmt: skip
    found, [body] = ask(said)
    assert (found.reply, found.prompt_tokens, found.completion_tokens, found.model) == ("Hello", 7, 2, "gpt-x-1")
    assert body["messages"] == [{"role": "user", "content": "Hi"}] and body["seed"] == 3
    assert body["response_format"] == {"type": "json_object"}


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (RateLimitError("slow down"), FailureKind.RATE_LIMIT),
        (RuntimeError("what?"), FailureKind.OTHER),
        ({"choices": []}, FailureKind.UNREADABLE),
        (None, FailureKind.DEADLINE),
    ],
)
def test_what_a_client_raises_is_a_failure_of_one_line(answer, kind):
    with pytest.raises(ModelFailure) as caught:
        ask(answer, call_deadline_seconds=0.05)
    assert caught.value.kind == kind and "\n" not in str(caught.value)


def test_a_client_that_would_block_is_refused():
    client = SimpleNamespace(chat=SimpleNamespace(completions=SimpleNamespace(create=lambda **body: None)))
    with pytest.raises(lts.UserError, match="expected an AsyncOpenAI client"):
        ClientModel(client, OpenAIChatSettings("gpt-x"))
    with pytest.raises(lts.UserError, match=r"model\.name: expected the name of the model"):
        bring(SMALL, model=client)
