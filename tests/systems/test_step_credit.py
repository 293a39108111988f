"""Credit of stored steps: what a scheme says of each decision, in the forms of other trainers; offline estimates."""

import json

import pytest

import lts_jax as lts
from lts_jax.adapters.trainers import FORMS
from lts_jax.admission.rules import make_rule
from lts_jax.cli import main
from lts_jax.errors import UserError
from lts_jax.memory.encoders import HashingEncoder
from lts_jax.rollouts.collect import CollectSettings
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.storage import read_parquet
from lts_jax.systems.logged_decisions import logged_decisions
from lts_jax.systems.run_folder import RunFolder, read_settings
from lts_jax.systems.step_credit import credited_steps, stored_groups
from lts_jax.systems.train_settings import TrainSettings
from lts_jax.teams.settings import TeamSettings

pytestmark = pytest.mark.slow
SMALL = lts.TrainSettings(
    num_tasks=2,
    num_epochs=1,
    tasks_per_update=2,
    rollout=RolloutSettings(num_teams=2, team=TeamSettings(max_rounds=5)),
    collect=CollectSettings(num_rollouts=2),
    controller="set_transformer(width=8, num_layers=1, num_heads=1)",
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return lts.train(tmp_path_factory.mktemp("runs") / "one", settings=SMALL, progress=False)


def rows_of(run, scheme="usage_aware"):
    return list(credited_steps(stored_groups(run.folder, "training"), scheme, read_settings(run.path, TrainSettings)))


def test_the_own_scheme_gives_what_training_paid(run):
    rows = rows_of(run)
    decided = [row for row in rows if row["decided"]]
    paid = run.tables()["decisions"]
    keys = ["iteration", "task", "rollout", "team", "step"]
    by_place = {tuple(row[key] for key in keys): row["credit"] for row in decided}
    assert len(by_place) == len(decided) == len(paid) > 0
    for place, credit in zip(paid[keys].itertuples(index=False), paid["credit"], strict=True):
        assert by_place[tuple(place)] == pytest.approx(credit, abs=1e-6)
    assert all(row["credit"] == 0.0 for row in rows if not row["decided"])


def test_every_form_holds_every_decision_once(run, tmp_path, capsys):
    rows = rows_of(run, "leave_one_out")
    credits = [row["credit"] for row in rows]
    for form, (ending, _) in FORMS.items():
        out = tmp_path / f"{form}{ending}"
        main(["credit", str(run.path), "--scheme", "leave_one_out", "--form", form, "--out", str(out)])
    assert "leave_one_out: " in capsys.readouterr().out
    lines = {form: [json.loads(line) for line in (tmp_path / f"{form}.jsonl").read_text().splitlines()]
             for form in ("verifiers", "rllm", "trl", "nemo_gym")}  # fmt: skip
    assert [step["reward"] for one in lines["verifiers"] for step in one["trajectory"]] == credits
    assert [
        step["reward"] for one in lines["rllm"] for each in one["trajectories"] for step in each["steps"]
    ] == credits
    assert [one["reward"] for one in lines["trl"]] == [one["reward"] for one in lines["nemo_gym"]] == credits
    assert read_parquet(tmp_path / "verl_agent.parquet")["rewards"].to_pylist() == credits
    assert read_parquet(tmp_path / "steps.parquet").to_pylist()[0]["agent"] == rows[0]["agent"]
    assert len(lines["rllm"]) == 4 and {len(one["trajectories"]) for one in lines["rllm"]} == {2}
    assert lines["verifiers"][0]["trajectory"][0]["completion"][0]["role"] == "assistant"


def test_what_cannot_be_credited_is_one_line(run, tmp_path, capsys):
    out = str(tmp_path / "x.parquet")
    for arguments, expected in (
        (["--scheme", "gae", "--out", out], "credit scheme gae: needs value_gkt, which a stored run has not"),
        (["--form", "trl", "--out", out], "expected a file that ends in .jsonl for trl"),
        (["--line", "judge", "--out", out], "holds no rollouts; expected training, or a line that was evaluated"),
    ):
        with pytest.raises(SystemExit):
            main(["credit", str(run.path), *arguments])
        error = capsys.readouterr().err
        assert expected in error and error.count("\n") == 1


def test_the_logging_policy_itself_would_be_worth_nothing_more(run):
    groups, encoder = stored_groups(RunFolder(run.path), "training"), HashingEncoder()
    found = logged_decisions(groups, make_rule("all", encoder), encoder, ("score", "seconds"))["seconds"]
    assert found.mask_rj.sum() == sum(len(one.decisions) for group in groups for one in group.rollouts)
    assert (found.target_rj[found.mask_rj] == 1.0).all() and (found.logged_rj[found.mask_rj] < 1.0).all()
    main(["offline", str(run.path), "--policies", "all", "random(rate=0.5)", "--truth", "1"])
    with pytest.raises(UserError, match="asks no model"):
        logged_decisions(groups, make_rule("judge", encoder), encoder, ("score",))
    with pytest.raises(UserError, match="lists 10 of the newest keys"):
        logged_decisions(groups, make_rule("recency", encoder), encoder, ("score",))
