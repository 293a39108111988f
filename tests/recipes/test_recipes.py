"""CONTRIBUTING's recipes as a stranger follows them: its files written into an empty folder, its commands run there."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "systems"))

from live_endpoint import Scripted, served

from lts_jax import prompts
from lts_jax.cli import main
from lts_jax.rollouts.store import read_folder

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
SECTIONS = {
    found[1].strip(): found[2] for found in re.finditer(r"^### (.+?)\n(.*?)(?=^##|\Z)", TEXT, re.MULTILINE | re.DOTALL)
}
PLACEHOLDER = "http://127.0.0.1:8000/v1"


def files_of(section: str) -> dict[str, str]:
    """The files of a recipe: blocks under a line that is a name and a colon, and copies of files of ours."""
    copies = re.findall(r"^`([\w./]+)`: a copy of \[[\w./]+\]\(([\w./]+)\)", section, re.MULTILINE)
    written = dict(re.findall(r"^`([\w./]+)`:\n\n```\w+\n(.*?)^```", section, re.MULTILINE | re.DOTALL))
    return written | {name: (ROOT / place).read_text(encoding="utf-8") for name, place in copies}


def commands_of(section: str) -> list[list[str]]:
    """The commands of a recipe's shell blocks, as lists of words."""
    lines = "".join(re.findall(r"^```sh\n(.*?)^```", section, re.MULTILINE | re.DOTALL)).splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


class Ponds(Scripted):
    """A model that opens the document, and names the pond whose code the question holds."""

    def _reply(self, messages):
        text = "\n".join(each.content for each in messages)
        opening = messages[-1].content.split("\n", 1)[0]
        purpose = next(name for name, words in prompts.OPENINGS.items() if words == opening)
        codes = re.findall(r"has the code ([\w-]+)\?", text)
        ponds = re.findall(rf"{codes[-1]} is ([A-Z]\w+ pond)", text) if codes else []
        if purpose == "ledger":
            answers = [bool(ponds), False, True, self.agent, "Look it up."]
            fields = zip(prompts.LEDGER_FIELDS, answers, strict=True)
            return json.dumps({name: {"reason": "", "answer": value} for name, value in fields})
        if purpose in ("answer", "aggregate"):
            found = ponds or re.findall(r"\b[A-Z]\w+ pond\b", messages[-1].content)
            return f"{prompts.ANSWER_MARKER} {found[-1] if found else 'unknown'}"
        if purpose in ("report", "summarize"):
            return " ".join(re.findall(r"[\w-]+ is [A-Z]\w+ pond\.", text)[:5]) or "Nothing."
        return super()._reply(messages)


def follow(name: str, folder: Path, base_url: str = PLACEHOLDER) -> None:
    """Write a recipe's files into the folder and run its commands there."""
    for place, content in files_of(SECTIONS[name]).items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_text(content, encoding="utf-8")
    for words in commands_of(SECTIONS[name]):
        if words[0] == "python":
            subprocess.run([sys.executable, *words[1:]], cwd=folder, check=True, env=os.environ)
        else:
            assert words[0] == "lts"
            main([word.replace(PLACEHOLDER, base_url) for word in words[1:]])


def test_every_recipe_is_followed_by_a_test():
    assert set(SECTIONS) == {*OFFLINE, *ONLINE, "A model"}
    assert all(commands_of(SECTIONS[name]) for name in (*OFFLINE, *ONLINE))


OFFLINE = (
    "A credit scheme", "An admission rule", "A reader", "A controller network", "An environment", "A team", "A system",
    "A tracker",
)  # fmt: skip
ONLINE = ("A task set", "A tool")


@pytest.mark.slow
@pytest.mark.parametrize("name", OFFLINE)
def test_a_recipe_that_needs_no_model(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    follow(name, tmp_path)
    assert list(tmp_path.rglob("config.json")) or name in ("An environment", "A system")


@pytest.mark.slow
def test_own_tasks_documents_and_tools_score_one(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    model = Ponds("WebSurfer", "visit_url", {"url": "folder/ponds.md"}, name="NAME")
    with served(model) as base_url:
        follow("A task set", tmp_path, base_url)
        follow("A tool", tmp_path, base_url)
    trained = [one for group in read_folder(tmp_path / "runs/qa/rollouts") for one in group.rollouts]
    assert trained and {one.reward_agg for one in trained} == {1.0}
    asked = "\n".join(text for text, _ in model.heard)
    assert "depth(pond: str, year: int = 2026)" in asked
