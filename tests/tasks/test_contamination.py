"""No reference answer, annotator's note, row id, file name or place of a benchmark reaches a prompt of a run."""

import asyncio
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lts_jax.admission.rules import RULES
from lts_jax.live.attachments import stage_attachments
from lts_jax.live.datasets import load_assistantbench, load_gaia
from lts_jax.records import Coordinates, ToolResult
from lts_jax.rollouts.rollout import RolloutParts, run_rollout
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.systems.world import ModelSettings, make_model
from lts_jax.teams.settings import TeamSettings

NOTES = {
    "Steps": "1. zebra-note-one",
    "Number of steps": "zebra-note-two",
    "Tools": "zebra-note-three",
    "How long did this take?": "zebra-note-four",
}


def gaia(folder):
    place = folder / "gaia-zebra-folder" / "2023" / "validation"
    place.mkdir(parents=True)
    rows = [
        {
            "task_id": f"zebra-id-{number}",
            "Question": f"How many ducks live on pond {number} of the attached list?",
            "Level": str(1 + number % 3),
            "Final answer": f"zebra-answer-{number}",
            "file_name": f"zebra-file-{number}.csv",
            "file_path": f"2023/validation/zebra-file-{number}.csv",
            "Annotator Metadata": NOTES,
        }
        for number in range(4)
    ]
    for row in rows:
        (place / row["file_name"]).write_text("pond,ducks\n1,17\n")
    pq.write_table(pa.Table.from_pylist(rows), place / "metadata.parquet")
    return load_gaia(str(folder / "gaia-zebra-folder"))


def assistantbench(folder):
    line = (
        '{"id": "zebra-id-9", "set": "dev", "task": "Which pool is open?", "answer": "zebra-answer-9", '
        '"gold_url": "https://zebra.example", "explanation": "zebra-note", "metadata": "zebra", "difficulty": "Hard"}\n'
    )
    (folder / "assistant_bench_v1.0_dev.jsonl").write_text(line)
    return load_assistantbench(str(folder))


@dataclass
class Listening:
    """The simulated model, with every prompt and every tool call written down."""

    name: str = "listening"
    heard: list[str] = field(default_factory=list)

    async def complete(self, messages, *, seed, json_reply=False):
        self.heard.append("\n".join(f"{each.role} {each.name} {each.content}" for each in messages))
        return await make_model(ModelSettings()).complete(messages, seed=seed, json_reply=json_reply)


def heard_in(task, folder, tool_text="nothing found"):
    model = Listening()
    root = stage_attachments(task, folder / "work")

    def use_tool(tool, arguments):
        model.heard.append(f"{tool} {arguments}")
        files = "\n".join(sorted(each.name for each in root.iterdir()))
        return ToolResult(files if tool == "list_files" else tool_text, tool=tool)

    parts = RolloutParts(model, use_tool, RULES["judge"]())
    settings = RolloutSettings(num_teams=2, team=TeamSettings(max_rounds=4))
    rollout = asyncio.run(run_rollout(task, Coordinates(0, 0, task.task_id, 0), parts, settings))
    assert rollout.task is task and rollout.outcome.answered
    return model.heard


@pytest.mark.parametrize("load", [gaia, assistantbench])
def test_nothing_but_the_question_reaches_a_prompt(load, tmp_path):
    tasks = load(tmp_path)
    for task in tasks:
        heard = heard_in(task, tmp_path)
        assert len(heard) > 20 and all(task.question in each for each in heard if "Fact survey.\n" in each)
        assert not [each for each in heard if "zebra" in each.lower() or "metadata" in each or str(tmp_path) in each]
    if load is gaia:
        assert any("attachment.csv" in each for each in heard)


def test_what_a_page_says_is_heard_so_the_search_is_not_in_vain(tmp_path):
    [task] = assistantbench(tmp_path)
    assert any("zebra-answer-9" in each for each in heard_in(task, tmp_path, "The pool: zebra-answer-9"))
