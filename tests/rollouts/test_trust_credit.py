"""Credit by origin: numbers by hand, the array twin, and a planted bait that is paid for use but is worth nothing."""

import asyncio
import json
from dataclasses import dataclass, replace

import numpy as np
import pytest

from lts_jax import prompts
from lts_jax.admission.rules import RULES
from lts_jax.bridge.collate import CollateSettings, collate, rollout_counts
from lts_jax.bridge.flips import flip_decisions
from lts_jax.bridge.origins import OriginCredit, bonus_by_origin, credit_by_origin
from lts_jax.cli import main
from lts_jax.credit.replays import difference_rewards
from lts_jax.credit.usage import usage_bonus
from lts_jax.llm.chat import Completion
from lts_jax.memory.encoders import HashingEncoder
from lts_jax.records import Coordinates, RolloutGroup, Task, ToolResult
from lts_jax.rollouts.rollout import RolloutParts, run_rollout
from lts_jax.rollouts.settings import RolloutSettings
from lts_jax.rollouts.store import read_rollouts, write_group
from lts_jax.seeds import coordinate_seed
from lts_jax.teams.settings import TeamSettings

TASK = Task("t", "How tall is the tower?", "42", "test")
PROMISE = "All there is to know of towers, soon."
PADDING = CollateSettings(max_steps=6, max_entries=16)
BAIT, TOWER, EMPTY = "https://bait.example/all", "https://tower.example/height", "https://empty.example/none"


@dataclass(frozen=True)
class Baited:
    """Team 0 first reads a page that promises everything and gives nothing, then finds the height.

    Team 1 finds nothing by itself, so the height helps it. Every key that is shown is pulled.
    """

    number: int
    name: str = "baited"

    async def complete(self, messages, *, seed, json_reply=False):
        asked = messages[-1].content.split("\n", 1)[0]
        purpose = next(name for name, opening in prompts.OPENINGS.items() if opening == asked)
        at = {coordinate_seed(3, 0, "t", self.number, 0, step, "act", 1): step for step in range(5)}
        url = {None: EMPTY, 0: BAIT}.get(at.get(seed), TOWER)
        thread = "\n".join(message.content for message in messages)
        found = "42 m" in thread
        answers = (found, False, True, "WebSurfer", "Find the height.")
        fields = zip(prompts.LEDGER_FIELDS, answers, strict=True)
        replies = {
            "ledger": json.dumps({name: {"reason": "r", "answer": answer} for name, answer in fields}),
            "act": json.dumps({"tool": "visit_url", "arguments": {"url": url}}),
            "report": "The page was read.",
            "summarize": "Everything about the tower: height, width, age" if PROMISE in thread else "Read a page.",
            "select": "SELECTED_KEYS = [0, 1, 2, 3, 4, 5, 6, 7]",
            "answer": "FINAL ANSWER: 42" if found else "FINAL ANSWER: 7",
            "aggregate": "FINAL ANSWER: 7" if "Answer: 7" in thread else "FINAL ANSWER: 42",
        }
        return Completion(replies.get(purpose, "- look it up"), 1, 1, self.name)


def use_tool(tool, arguments):
    return ToolResult({TOWER: "Tower, 42 m", BAIT: PROMISE}.get(arguments["url"], "Nothing of the kind."), tool=tool)


def baited_group():
    settings = RolloutSettings(2, TeamSettings(max_rounds=4))
    parts = RolloutParts(Baited(0), use_tool, RULES["all"]())
    rollout = asyncio.run(run_rollout(TASK, Coordinates(3, 0, "t", 0), parts, settings))
    return RolloutGroup(TASK, 0, (rollout,)), parts, settings


def test_a_planted_bait_is_paid_for_use_but_is_worth_nothing():
    group, parts, settings = baited_group()
    [rollout] = group.rollouts
    assert rollout.reward_agg == 1.0
    assert [entry.key for entry in rollout.entries if entry.source == BAIT] == [
        "Everything about the tower: height, width, age"
    ]
    trajectory, _ = collate(group, HashingEncoder(dim=16), PADDING)
    trajectory = replace(trajectory, flipped=flip_decisions(group, parts, settings, PADDING))
    bonus = credit_by_origin([group], np.asarray(usage_bonus(trajectory))[None], by="host")
    worth = credit_by_origin([group], np.asarray(difference_rewards(trajectory))[None], by="host")
    # Paid alike, half a point each; only the height was worth anything: without it team 1 answers 7, and so do both.
    assert bonus["bait.example"] == bonus["tower.example"] == OriginCredit(1, 1, 0.5)
    assert worth["bait.example"] == OriginCredit(1, 1, 0.0)
    assert worth["tower.example"] == OriginCredit(1, 1, 1.0)


def test_the_bonus_by_origin_is_that_of_the_credit_scheme():
    group, _, _ = baited_group()
    trajectory, _ = collate(group, HashingEncoder(dim=16), PADDING)
    for weight in (0.5, 2.0):
        arrays = np.asarray(usage_bonus(trajectory, usage_weight=weight))[None]
        for by in ("origin", "host", "source", "trust"):
            assert bonus_by_origin(group.rollouts, by=by, usage_weight=weight) == credit_by_origin(
                [group], arrays, by=by
            )
    [(name, paid)] = bonus_by_origin(group.rollouts).items()
    assert name == "web" and paid.credit == 0.5 * paid.num_used > 0


def test_rollouts_that_do_not_count_or_earn_nothing_pay_nothing():
    group, _, _ = baited_group()
    [rollout] = group.rollouts
    poor = replace(group, rollouts=(replace(rollout, reward_agg=0.0, reward_first=0.0),))
    assert {each.credit for each in bonus_by_origin(poor.rollouts, by="host").values()} == {0.0}
    revoked = replace(group, rollouts=(replace(rollout, revoked=("bait.example",)),))
    assert bonus_by_origin(revoked.rollouts) == {}
    with pytest.raises(ValueError, match="by: expected one of origin, host, source, trust, got 'team'"):
        bonus_by_origin(group.rollouts, by="team")
    with pytest.raises(ValueError, match="expected one row for each of 1 groups, got 2"):
        credit_by_origin([group], np.zeros((2, 1, 2, 6)))


def test_a_bad_origin_is_listed_and_marked_by_a_command(tmp_path, capsys):
    group, _, _ = baited_group()
    path = write_group(tmp_path / "rollouts", group)
    main(["revoke", str(tmp_path)])
    listed = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert listed[0] == ["entries", "used", "bonus", "origin"]
    assert ["1", "1", "0.5", "bait.example"] in listed and ["1", "1", "0.5", "tower.example"] in listed
    main(["revoke", str(tmp_path), "nobody.example", "bait.example"])
    assert capsys.readouterr().out.startswith("1 rollouts")
    [marked], [before] = read_rollouts(path), group.rollouts
    assert marked == replace(before, revoked=("bait.example",)) and not rollout_counts(marked)
    main(["revoke", str(tmp_path), "bait.example"])
    assert capsys.readouterr().out.startswith("0 rollouts")
    main(["revoke", str(tmp_path)])
    assert len(capsys.readouterr().out.splitlines()) == 1  # what does not count is not listed
    for arguments in ([str(tmp_path / "none"), "a.example"], [str(tmp_path), " "], [str(tmp_path / "none")]):
        with pytest.raises(SystemExit) as ended:
            main(["revoke", *arguments])
        assert ended.value.code == 2
