"""Everything of one rollout that a viewer shows beside its timeline when something is clicked: whole texts, decisions.

By the names that marks of the timeline carry: "step K T", "entry N", "pull I", "answer K" and "final".
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from lts_jax.actions import ACTIONS
from lts_jax.records import EARLIER, Answer, Decision, MemoryEntry, Pull, Rollout, Step

Place = tuple[int, int]
"""Team and step of a decision."""


@dataclass(frozen=True, slots=True)
class Detail:
    """What a panel shows: a heading, short facts, and texts in full."""

    title: str
    facts: tuple[tuple[str, str], ...] = ()
    texts: tuple[tuple[str, str], ...] = ()  # empty ones are not shown
    entry: int | None = None  # whose arrows stay lit while the panel is open


def details(rollout: Rollout, credit: Mapping[Place, float] | None = None) -> dict[str, Detail]:
    """A panel for each mark of a rollout's timeline.

    Args:
        rollout: the rollout.
        credit: what a scheme gave its decisions in training, by team and step.
    """
    decided = {(one.team, one.step): one for one in rollout.decisions}
    steps = {(one.team, one.step): one for one in rollout.steps}
    found = {
        f"step {team} {number}": _step(step, decided.get((team, number)), credit or {})
        for (team, number), step in steps.items()
    }
    found |= {f"entry {entry.entry}": _entry(entry, rollout) for entry in rollout.entries}
    for number, pull in enumerate(rollout.pulls):
        found[f"pull {number}"] = _pull(pull, rollout, steps)
    found |= {f"answer {answer.team}": _answer(answer) for answer in rollout.answers}
    return found | {"final": _final(rollout)}


def _step(step: Step, decision: Decision | None, credit: Mapping[Place, float]) -> Detail:
    facts = [("time", f"{step.started_seconds:.0f} to {step.finished_seconds:.0f} s")]
    facts += [("failed", "yes")] if step.failed else []
    entry = None
    if decision is None:
        facts.append(("decision", "none was asked for"))
    else:
        entry = decision.entry if decision.entry >= 0 else None
        facts.append(("decision", _told(decision)))
        facts.append(("probability of admitting", f"{decision.admit_probability:.3f}"))
        facts.append(("keys before it", str(decision.num_keys)))
        paid = credit.get((step.team, step.step), math.nan)
        facts += [("credit in training", f"{paid:+.3f}")] if math.isfinite(paid) else []
    texts = (
        ("Instruction", step.instruction), ("Action", step.action), ("Output", step.output), ("Summary", step.summary),
    )  # fmt: skip
    return Detail(f"Team {step.team}, step {step.step}: {step.agent}", tuple(facts), texts, entry)


def _told(decision: Decision) -> str:
    name = {0: "not admitted", 1: "admitted"}.get(decision.action, ACTIONS[decision.action])
    of = f" of entry {decision.target}" if decision.target >= 0 else ""
    made = f" as entry {decision.entry}" if decision.entry >= 0 else ""
    refused = ", but the bank refused it" if decision.action == 1 and decision.entry < 0 else ""
    return f"{name}{of}{made}{refused}"


def _entry(entry: MemoryEntry, rollout: Rollout) -> Detail:
    is_earlier = entry.team == EARLIER
    wrote = "an earlier task" if is_earlier else f"team {entry.team} after step {entry.step}, at {entry.seconds:.0f} s"
    readers = [f"team {pull.reader} at {pull.seconds:.0f} s" for pull in rollout.pulls if pull.entry == entry.entry]
    facts = [("written by", wrote), ("pulled by", "; ".join(readers) or "nobody"), ("trust", entry.trust.value)]
    facts += [("source", f"{entry.origin.value} {entry.source}".strip())]
    facts += [
        ("ended", f"at {edit.seconds:.0f} s" + ("" if edit.successor is None else f", replaced by {edit.successor}"))
        for edit in rollout.edits
        if edit.entry == entry.entry
    ]
    return Detail(f"Entry {entry.entry}", tuple(facts), (("Key", entry.key), ("Value", entry.value)), entry.entry)


def _pull(pull: Pull, rollout: Rollout, steps: Mapping[Place, Step]) -> Detail:
    entry = next((one for one in rollout.entries if one.entry == pull.entry), None)
    writer = "an earlier task" if pull.writer == EARLIER else f"team {pull.writer}"
    before, after = steps.get((pull.reader, pull.step - 1)), steps.get((pull.reader, pull.step))
    texts = [("Key", entry.key), ("Value, as the team was shown it", entry.value)] if entry else []
    texts += [("The team's step before it", _short(before))] if before else []
    texts += [("Its step after it", _short(after) if after else "none: the team went on to its answer")]
    facts = (
        ("read by", f"team {pull.reader} before step {pull.step}, at {pull.seconds:.0f} s"),
        ("written by", writer),
    )
    return Detail(f"Pull of entry {pull.entry}", facts, tuple(texts), pull.entry)


def _short(step: Step) -> str:
    return "\n".join(text for text in (f"{step.agent}: {step.instruction}", step.action, step.summary) if text)


def _answer(answer: Answer) -> Detail:
    facts = (
        ("ended", f"{answer.stop_reason.value.replace('_', ' ')} after {answer.seconds:.0f} s"),
        ("steps", str(answer.num_steps)), ("new plans", str(answer.num_replans)), ("stalls", str(answer.num_stalls)),
    )  # fmt: skip
    return Detail(f"Answer of team {answer.team}", facts, (("Answer", answer.text), ("What failed", answer.detail)))


def _final(rollout: Rollout) -> Detail:
    facts = (("score", f"{rollout.outcome.score:g}"), ("after", f"{rollout.seconds:.0f} s"))
    reference = "withheld" if rollout.task.answer is None else str(rollout.task.answer)
    texts = (("Question", rollout.task.question), ("Answer", rollout.final.text), ("Reference answer", reference))
    return Detail("The final answer", facts, texts)
