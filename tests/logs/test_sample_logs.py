"""The small logs that anyone can try the commands with: each command of their README does what stands there."""

import re
import shlex
import shutil
from pathlib import Path

from lts_jax.cli import main
from lts_jax.rollouts.store import read_rollouts

FOLDER = Path(__file__).parents[2] / "experiments" / "sample_logs"
README = (FOLDER / "README.md").read_text(encoding="utf-8")
COMMANDS = [shlex.split(line) for line in re.search(r"```sh\n(.*?)```", README, re.DOTALL)[1].strip().split("\n")]


def test_the_readme_of_the_sample_logs_tells_the_truth(tmp_path, monkeypatch, capsys):
    shutil.copytree(FOLDER, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    said = []
    for program, *arguments in COMMANDS:
        assert program == "lts"
        main(arguments)
        said.append(capsys.readouterr().out)
    assert said[0].startswith("autogen_teams: 2 teams (satisfied, round_limit), 8 steps (WebSurfer 4, Coder 2, Com")
    assert re.search(r"```\n(2 tasks.*?)```", README, re.DOTALL)[1] in said[2]

    (lakes,) = read_rollouts(tmp_path / "autogen.parquet")
    assert [step.output.partition("\n")[0] for step in lakes.steps if step.failed] == [
        "404 Not Found",
        "The script ran, then exited with Unix exit code: 1",
    ]
    assert [answer.text for answer in lakes.answers] == ["Long Tarn, by 12.5 metres", "I take it as 13 metres."]
    lund, berg = read_rollouts(tmp_path / "airline.parquet")
    assert lund.steps[0].action == ('Let me look at your profile first.\nget_user_details({"user_id":"mia_lund_4417"})')
    assert (lund.num_teams, berg.num_teams, [step.team for step in berg.steps if step.failed]) == (3, 3, [1])
