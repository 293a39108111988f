"""Credited steps in the forms of other trainers, read by these trainers' own records where they can be imported."""

import json
import math
from typing import get_type_hints

import pytest

from lts_jax.adapters.trainers import FORMS, write_form
from lts_jax.storage import read_parquet


def row(task, rollout, team, step, **changed):
    """One step as `credited_steps` gives it."""
    return {
        "iteration": 3, "task": task, "rollout": rollout, "team": team, "step": step, "agent": "WebSurfer",
        "question": "How deep is Mill pond?", "instruction": f"Search, step {step}.",
        "action": 'web_search {"query": "pond"}', "output": f"Nothing, step {step}.", "summary": "s", "failed": False,
        "decided": True, "admitted": step == 0, "admit_probability": 0.5, "credit": 0.25 * (step + 1) - 0.5 * team,
        "reward": 0.75, "answer": "2 m", "reference": "2.1 m",
    } | changed  # fmt: skip


ROWS = [
    row("pond:1", 0, 0, 0),
    row("pond:1", 0, 0, 1, action="", output="print(2)", agent="Coder"),
    row("pond:1", 0, 1, 0, failed=True),
    row("pond:1", 1, 0, 0, reward=math.nan, decided=False, credit=0.0),
    row("pond:2", 0, 0, 0, reference=None),
]
CREDIT = [0.25, 0.5, -0.25, 0.0, 0.25]


def written(form, folder):
    path = folder / f"traces{FORMS[form][0]}"
    write_form(form, ROWS, path)
    if path.suffix == ".parquet":
        return read_parquet(path).to_pylist()
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def legacy():
    """The records of verifiers 0.1 to 0.3."""
    try:
        from verifiers import types
    except ImportError:
        types = pytest.importorskip("verifiers.legacy.types", reason="verifiers before 0.4 is not installed")
    if not hasattr(types, "RolloutOutput"):
        pytest.skip("verifiers before 0.4 is not installed")
    return types


def test_verifiers_reads_every_field_of_its_rollouts(legacy, tmp_path):
    from pydantic import TypeAdapter

    reader = TypeAdapter(legacy.TrajectoryStep)
    required = {"example_id", "prompt", "completion", "reward", "timing", "is_completed", "is_truncated", "metrics"}
    known = get_type_hints(legacy.RolloutOutput)
    credits = []
    for one in written("verifiers", tmp_path):
        assert required <= one.keys() <= known.keys()
        for name in one.keys() - {"trajectory"}:  # whose steps are read one by one below
            TypeAdapter(known[name]).validate_python(one[name])
        for step in one["trajectory"]:
            read = reader.validate_python(step)
            assert read["response"].message.content == read["completion"][0].content
            credits.append(read["reward"])
    assert credits == CREDIT


def test_rollouts_without_a_score_say_that_they_do_not_count(tmp_path):
    rollouts = written("verifiers", tmp_path)
    assert [one["is_completed"] for one in rollouts] == [True, True, False, True]
    assert [one["reward"] for one in rollouts] == [0.75, 0.75, 0.0, 0.75]
    assert [one["example_id"] for one in rollouts] == [0, 0, 0, 1]
    assert [one["info"]["task"] for one in rollouts] == ["pond:1", "pond:1", "pond:1", "pond:2"]


def test_verifiers_reads_its_traces(tmp_path):
    store = pytest.importorskip("verifiers.v1.utils.trace_store", reason="verifiers 0.4 is not installed")
    from verifiers.v1.trace import WireTrace

    lines = written("verifiers_traces", tmp_path)
    episodes = store.read_episodes(tmp_path, WireTrace)
    assert [len(episode.traces) for episode in episodes] == [2, 1, 1]
    assert len(lines) == 3 and episodes[0].group.id == "pond:1:3"
    for trace in (trace for episode in episodes for trace in episode.traces):
        [branch] = trace.branches
        sampled = [node.message.content for node in branch.nodes if node.sampled]
        assert len(sampled) == len(trace.info["credit"])
    first, second = episodes[0].traces
    assert first.reward == 0.75 and (first.agent.name, second.agent.name) == ("team0", "team1")
    assert first.info["credit"] + second.info["credit"] == CREDIT[:3]


def test_traces_are_chains_with_one_sampled_message_a_step(tmp_path):
    episode, unscored, _ = written("verifiers_traces", tmp_path)
    nodes = episode["traces"][0]["nodes"]
    assert [node["parent"] for node in nodes] == [None, 0, 1, 2, 3, 4]
    assert [(node["message"]["role"], node["sampled"]) for node in nodes] == [
        ("user", False), ("user", False), ("assistant", True), ("user", False), ("user", False), ("assistant", True)
    ]  # fmt: skip
    assert [node["message"]["content"] for node in nodes] == [
        "How deep is Mill pond?", "Search, step 0.", 'web_search {"query": "pond"}', "Nothing, step 0.",
        "Search, step 1.", "print(2)",
    ]  # fmt: skip
    assert unscored["traces"][0]["rewards"] == {"score": None}


def test_nemo_gym_gets_whole_responses(tmp_path):
    responses = pytest.importorskip("openai.types.responses")
    for one, credit in zip(written("nemo_gym", tmp_path), CREDIT, strict=True):
        read = responses.Response.model_validate(one["response"], strict=True)  # which NeMo Gym's own extends
        assert read.output_text in ('web_search {"query": "pond"}', "print(2)") and one["reward"] == credit
        needed = {name for name, field in responses.Response.model_fields.items() if field.is_required()}
        assert needed <= one["response"].keys()
        assert set(responses.ResponseOutputMessage.model_fields) >= one["response"]["output"][0].keys()


def test_nemo_gym_reads_its_rollouts(tmp_path):
    server = pytest.importorskip("nemo_gym.base_resources_server", reason="nemo-gym is not installed")
    for one in written("nemo_gym", tmp_path):
        server.BaseVerifyResponse.model_validate(one)


def test_an_episode_of_rllm_is_named_by_task_and_rollout(tmp_path):
    episodes = written("rllm", tmp_path)
    assert [one["id"].split(":") for one in episodes] == [["pond_1", "3-0"], ["pond_1", "3-1"], ["pond_2", "3-0"]]
    assert [step["reward"] for one in episodes for each in one["trajectories"] for step in each["steps"]] == CREDIT


def test_rllm_reads_its_episodes(tmp_path):
    types = pytest.importorskip("rllm.types", reason="rllm is not installed")
    for one in written("rllm", tmp_path):
        read = types.Episode.model_validate(one, extra="forbid")
        assert read.rollout_idx in ("3-0", "3-1")


def test_trl_finds_conversations(tmp_path):
    data = pytest.importorskip("trl.data_utils", reason="trl is not installed")
    for one in written("trl", tmp_path):
        assert data.is_conversational(one)
        assert data.is_conversational({"completion": one["completion"]})


def test_verl_agent_has_every_column_that_is_no_tensor(tmp_path):
    rows = written("verl_agent", tmp_path)
    assert [one["rewards"] for one in rows] == CREDIT
    assert rows[0].keys() >= {
        *("uid", "traj_uid", "rewards", "episode_rewards", "episode_lengths", "tool_callings", "active_masks"),
        *("is_action_valid", "anchor_obs", "data_source"),
    }
    assert [one["tool_callings"] for one in rows] == [1.0, 1.0, 1.0, 1.0, 1.0]  # one search in each trajectory
    assert [one["episode_lengths"] for one in rows] == [2.0, 2.0, 1.0, 1.0, 1.0]
    assert len({one["uid"] for one in rows}) == 2 and len({one["traj_uid"] for one in rows}) == 4
