"""What a report says first of the model calls behind it: how many there were, how many failed, and why."""

from collections.abc import Mapping, Sequence

from lts_jax.records import Rollout
from lts_jax.rollouts.failed_calls import reasons, split_failed

MAX_REASONS = 3
MAX_CHARACTERS = 160  # of a reason


def calls_told(rollouts: Sequence[Rollout]) -> str:
    """One sentence or a few on the calls of these rollouts; "" where they hold none, as imported ones do."""
    calls = [call for rollout in rollouts for call in rollout.calls]
    if not calls:
        return ""
    num_failed = sum(bool(call.error) for call in calls)
    if not num_failed:
        return f"Model calls: {len(calls):,}, none failed."
    found = reasons(calls)
    told = [f"{reason.num_calls:,} with {_short(reason.text)}" for reason in found[:MAX_REASONS]]
    others = num_failed - sum(reason.num_calls for reason in found[:MAX_REASONS])
    told += [f"{others:,} otherwise"] if others else []
    said = f"Model calls: {num_failed:,} of {len(calls):,} failed, {'; '.join(told)}."
    num_out = len(split_failed(rollouts)[1])
    if num_out:
        many = num_out > 1
        said += f" Most calls of {num_out:,} rollout{'s' * many} failed so: {'they are' if many else 'it is'} left out."
    return said


def counted(rollouts_by_policy: Mapping[str, Sequence[Rollout]]) -> dict[str, Sequence[Rollout]]:
    """The rollouts that say something of their policy; all of a policy that has none such, which then has no score."""
    return {name: split_failed(rollouts)[0] or rollouts for name, rollouts in rollouts_by_policy.items()}


def _short(text: str) -> str:
    return text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]}..."
