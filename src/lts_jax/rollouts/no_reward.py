"""What to say when a whole epoch brought no reward: nothing can be learned from it, and why that is likely."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from lts_jax.errors import show
from lts_jax.records import Rollout
from lts_jax.rollouts.outcomes import has_own_end
from lts_jax.rollouts.store import read_group


def no_reward_warning(rollouts: Iterable[Rollout]) -> str:
    """The three likeliest causes, the likeliest first, if no reward of these rollouts was above 0; else "".

    Reads no further than the first reward above 0. Each cause comes with how many rollouts show it and an example.
    """
    num_rollouts = num_unanswered = num_off = num_failing = num_unscored = 0
    end = wrong = failure = unscored = ""
    for rollout in rollouts:
        if rollout.reward_agg > 0 or rollout.reward_first > 0:
            return ""
        num_rollouts += 1
        text, outcome = rollout.final.text.strip(), rollout.outcome
        failed = [step for step in rollout.steps if step.failed]
        if len(failed) > len(rollout.steps) / 2:
            num_failing += 1
            failure = f"{failed[-1].agent}: {_line(failed[-1].output)}"
        if not text or not any(map(has_own_end, rollout.answers)):
            num_unanswered += 1
            errors = [call.error for call in rollout.calls if call.error]
            end = errors[-1] if errors else rollout.answers[-1].stop_reason.value
        if outcome.score != outcome.score or "unscorable" in outcome.detail:  # NaN is no score
            num_unscored += 1
            unscored = outcome.detail
        elif text:
            num_off += 1
            wrong = f"{_line(text)} for {_line(rollout.task.answer or '')}, by {rollout.task.scoring}"
    if not num_rollouts:
        return ""
    causes = (
        (num_unscored, "the scorer fails or has no reference", unscored),
        (num_unanswered, "teams stop before they have an answer", end),
        (num_failing, "most steps fail, so that teams see nothing of what is asked for", failure),
        (num_off, "answers are wrong, or written otherwise than the scorer expects", wrong),
    )
    ranked = sorted(causes, key=lambda cause: -cause[0])[:3]
    told = "; ".join(
        f"({place}) {cause}, {count} of {num_rollouts}" + (f" (such as {show(example)})" if example else "")
        for place, (count, cause, example) in enumerate(ranked, 1)
    )
    return f"no reward of a whole epoch was above 0, so there is nothing to learn from yet. Likeliest causes: {told}"


def stored_epoch(folder: Path, iterations: range) -> Iterator[Rollout]:
    """The rollouts of these iterations in a run's `rollouts` folder, one group in memory at a time."""
    for path in sorted(Path(folder).glob("*.parquet")):
        if int(path.name.partition("-")[0]) in iterations:
            yield from read_group(path).rollouts


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 80 else f"{line[:80]}..."
