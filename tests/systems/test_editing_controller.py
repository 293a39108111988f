"""`lts train` and `lts evaluate` with a controller that edits the memory of text teams, and a report of it."""

import pytest

from lts_jax.cli import main
from lts_jax.evaluation.tables import tables
from lts_jax.rollouts.store import read_folder

SMALL = ["--num-tasks", "3", "--num-epochs", "1", "--collect.num-rollouts", "2", "--rollout.team.max-rounds", "5"]


@pytest.mark.slow
def test_a_controller_that_edits_trains_on_text_and_is_compared(tmp_path, capsys):
    run = str(tmp_path / "run")
    four = ["--controller", "set_transformer(width=16, num_actions=4, targets=true)"]
    main(["train", "--run", run, *SMALL, *four])
    rollouts = [one for group in read_folder(tmp_path / "run" / "rollouts") for one in group.rollouts]
    assert {decision.action for one in rollouts for decision in one.decisions} == {0, 1, 2, 3}
    assert all(one.may_edit for one in rollouts) and any(one.edits for one in rollouts)
    main(["evaluate", "--run", run, "--policies", "m1_parallel", "all", "lts", "--evaluation.num-tasks", "3",
          "--evaluation.num-seeds", "1"])  # fmt: skip
    assert "lts" in capsys.readouterr().out
    edits = tables(tmp_path / "run")["edits"]
    assert set(edits["kind"]) == {"update", "delete"} and set(edits["drawer"]) == {-1}
    assert len(edits[edits["line"] == "training"]) == sum(len(one.edits) for one in rollouts)
