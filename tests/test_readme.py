"""What the documents promise holds: commands parse and run, code blocks run, links lead somewhere."""

import importlib
import json
import re
import shlex
import shutil
import tomllib
from pathlib import Path

import pytest
import tyro

from lts_jax.cli import COMMANDS, command_module, main

ROOT = Path(__file__).parent.parent
DOCUMENTS = (
    "README.md", "CONTRIBUTING.md", "CHANGELOG.md", *(f"docs/{path.name}" for path in ROOT.glob("docs/*.md"))
)  # fmt: skip
README = (ROOT / "README.md").read_text(encoding="utf-8")

# Added to a command of the README so that it takes seconds; nothing else about it changes.
SMALL_NETWORK = "--controller 'set_transformer(width=32, num_layers=1)'"
SMALL_TRAINING = f"--num-tasks 3 --num-epochs 1 --collect.num-rollouts 2 {SMALL_NETWORK}"
SMALL_EVALUATION = "--evaluation.num-tasks 5 --evaluation.num-seeds 1 --policies m1_parallel all lts"
SMALLER = {
    "demo": f"{SMALL_TRAINING} {SMALL_EVALUATION}".replace("--eval", "--compare.eval").replace(
        "--policies", "--compare.policies"
    ),
    "train": SMALL_TRAINING,
    # What lts simulator fit asks for: its three policies, two rollouts each, ten tasks.
    "evaluate": "--evaluation.num-tasks 10 --evaluation.num-seeds 2 --policies m1_parallel all random lts",
    "sweep": "--seeds 2 --set num_iterations=1 --set tasks_per_update=1 --set num_rollouts=2 "
    "--set num_evaluation_tasks=2 --set shape.max_steps=4 --set shape.num_entries=12",
    "leaderboard": "--quick",
    "simulator": "--num-tasks 8 --num-rollouts 2 --num-resamples 10 "
    "--fit.num-tasks 4 --fit.population 4 --fit.generations 1",
}


def blocks(text: str, *languages: str) -> list[str]:
    """The fenced blocks of these languages, in order."""
    return re.findall(rf"^```(?:{'|'.join(languages)})\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def shell_lines(text: str) -> list[list[str]]:
    """The commands of the shell blocks as lists of words, comments and prompts left out."""
    lines = "".join(blocks(text, "sh", "console")).splitlines()
    return [words for line in lines if (words := shlex.split(line.removeprefix("$ "), comments=True))]


def inline_commands(text: str) -> list[list[str]]:
    """Commands of `lts` with settings that are named within a sentence."""
    return [shlex.split(found) for found in re.findall(r"`(lts [a-z-]+ [^`\n]+)`", text)]


BLOCK = [words for words in shell_lines(README) if words[0] == "lts"]
SENTENCES = [words for name in DOCUMENTS for words in inline_commands((ROOT / name).read_text(encoding="utf-8"))]


@pytest.fixture(scope="module")
def own_files(tmp_path_factory) -> Path:
    """A folder with the files of its reader that the README's commands name."""
    folder = tmp_path_factory.mktemp("own")
    code = "\n".join(blocks(README, "python"))
    scheme = re.search(r"^def paid_by_readers.*?(?=^\S)", code, re.MULTILINE | re.DOTALL)
    (folder / "mine.py").write_text(f"import lts_jax as lts\n\n\n{scheme[0]}")
    return folder


def test_the_leaderboard_is_the_one_that_its_study_printed():
    inside = README.split("<!-- leaderboard -->")[1].split("<!-- end of leaderboard -->")[0].strip()
    printed = (ROOT / "experiments/credit_leaderboard/results/tables.txt").read_text(encoding="utf-8")
    assert printed.rstrip().endswith(inside)
    assert inside.count("\n") >= 5  # a header, a rule and schemes


def test_the_first_screen_has_both_commands():
    first_screen = README.splitlines()[:12]
    assert any(line.startswith("make demo") for line in first_screen)
    assert any(line.startswith("make test") for line in first_screen)
    assert len(README.splitlines()) <= 300
    assert README.index("import lts_jax as lts") < README.index("## ") and "![" in README.split("## ")[0]


def test_the_demo_table_has_its_place():
    assert README.count("<!-- demo table -->") == README.count("<!-- end of demo table -->") == 1


def test_the_table_of_policies_is_the_one_that_its_study_printed():
    inside = README.split("<!-- demo table -->")[1].split("<!-- end of demo table -->")[0].strip().splitlines()
    printed = (ROOT / "experiments/main_comparison/results/tables.md").read_text(encoding="utf-8").splitlines()
    assert len(inside) >= 10 and [row for row in inside if row not in printed] == []


def test_every_command_is_shown():
    assert {words[1] for words in BLOCK} == set(COMMANDS)
    assert len(SENTENCES) >= 4  # else the search for commands in sentences has gone blind


@pytest.mark.parametrize("words", BLOCK + SENTENCES, ids=" ".join)
def test_a_command_takes_the_settings_shown(words, capsys, monkeypatch, own_files):
    command = importlib.import_module(command_module(words[1])).Command
    if "--help" in words:
        with pytest.raises(SystemExit) as stopped:
            main(words[1:])
        assert stopped.value.code in {0, None} and "usage:" in capsys.readouterr().out
    else:
        monkeypatch.chdir(own_files)
        assert isinstance(tyro.cli(command, args=words[2:]), command)


@pytest.mark.slow
def test_the_commands_run_in_the_order_shown(tmp_path, monkeypatch, capsys, own_files):
    monkeypatch.chdir(tmp_path)
    shutil.copy(own_files / "mine.py", tmp_path)
    Path("logs.json").write_text(json.dumps([recorded_run(trial) for trial in range(2)]), encoding="utf-8")
    said = [{"source": "user", "type": "TextMessage", "content": "Who?"}, {"source": "A", "type": "T", "content": "Me"}]
    Path("team.jsonl").write_text("\n".join(map(json.dumps, said)), encoding="utf-8")
    for _, name, *settings in BLOCK:
        if (
            name in {"serve-simulated", "serve-model", "serve-memory", "view", "pull", "model", "models", "benchmark"}
            or "--tasks.file" in settings
        ):
            continue  # serves until it is stopped; need a network, or a model (tests/recipes has one)
        main([name, *settings, *shlex.split(SMALLER.get(name, ""))])
        assert capsys.readouterr().out.strip(), f"lts {name} printed nothing"
    for path in ("runs/demo/report.html", "runs/lts/report.json", "one.parquet"):
        assert (tmp_path / path).stat().st_size > 1000


def recorded_run(trial: int) -> dict:
    """A run of one read-only call in the format of tau-bench."""
    call = {"id": "c", "type": "function", "function": {"name": "get_user_details", "arguments": '{"user_id": "mia"}'}}
    messages = [
        {"role": "system", "content": "Policy."},
        {"role": "user", "content": "Hello, I am mia."},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "name": "get_user_details", "content": "mia, gold member"},
        {"role": "assistant", "content": "You are a gold member."},
        {"role": "user", "content": "###STOP###"},
    ]
    return {"task_id": 0, "trial": trial, "reward": 1.0, "traj": messages}


@pytest.mark.slow
def test_the_python_blocks_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {}
    small = "settings=lts.TrainSettings(num_tasks=3, num_epochs=1)"
    for block in blocks(README, "python"):
        smaller = re.sub(r'(lts\.train\("[\w/]+")', rf"\1, {small}", block)
        smaller = re.sub(r"lts\.evaluate\((\w+)", r"lts.evaluate(\1, num_tasks=5, num_seeds=1", smaller)
        exec(compile(smaller, "README.md", "exec"), namespace)
    assert namespace["frames"]["decisions"].credit.notna().all()
    assert (tmp_path / "runs/mine/report.html").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["first_hour", "read_a_rollout"])
def test_the_python_blocks_of_a_page_run(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {}
    for block in blocks((ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8"), "python"):
        exec(compile(block.replace("num_iterations=20", "num_iterations=2"), name, "exec"), namespace)
    printed = capsys.readouterr().out
    assert ("paid_by_readers" if name == "first_hour" else "read by") in printed


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_make_target_and_extra_exists(name):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    for words in shell_lines((ROOT / name).read_text(encoding="utf-8")):
        if words[0] == "make":
            assert f"\n{words[1]}:" in makefile
        if words[0] == "pip":
            assert set(re.findall(r"\w+", words[-1])) <= set(extras)
        if "pytest" in words:
            assert all((ROOT / word).exists() for word in words if word.startswith("tests"))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_relative_link_leads_somewhere(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"https?://|#|mailto:", link)]
    assert links or name == "CHANGELOG.md"
    for link in links:
        assert not link.startswith("/")
        assert ((ROOT / name).parent / link.split("#")[0]).exists(), f"{name}: {link}"


@pytest.mark.parametrize("path", [*DOCUMENTS, *(f"notebooks/{path.name}" for path in ROOT.glob("notebooks/*.ipynb"))])
def test_no_document_knows_a_place_on_one_machine(path):
    text = (ROOT / path).read_text(encoding="utf-8")
    assert re.findall(r"""(?:^|[\s"'`(=])(/[A-Za-z]\w*/[\w./-]*|[A-Z]:\\\\\w+|~/\w+)""", text, re.MULTILINE) == []
