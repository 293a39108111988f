"""What a stored rollout decided, as a policy: its replays need nothing that is gone, such as parameters since changed.

A replay takes every decision as it was stored, but those that its script says otherwise. A place that only the replay
has, as a team took more steps in it, is asked of another policy. In `flips` all later decisions are taken anew: there
the credit of a decision holds what it made the policy do later, here it does not. Of a policy that looks at coordinates
alone both are the same.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from lts_jax.actions import ADMIT, REJECT
from lts_jax.admission.policy import Admission, AdmissionPolicy, AdmissionRequest
from lts_jax.llm.chat import Ask
from lts_jax.records import Coordinates, Decision, Rollout

Turn = tuple[int, int]
"""A decision of a rollout: team, step."""


@dataclass(frozen=True, slots=True)
class ScriptedPolicy:
    """The stored decisions of one rollout.

    Attributes:
        otherwise: asked where the script holds nothing, and where a replay draws anew (its coordinates then differ).
        name: of the policy that decided.
        listing_window: as it had it.
        coordinates: of the rollout.
        decisions: what it decided, by team and step.
        actions: what is done in place of that, by team and step.
    """

    otherwise: AdmissionPolicy
    name: str
    listing_window: int | None
    coordinates: Coordinates
    decisions: Mapping[Turn, Decision] = field(repr=False)
    actions: Mapping[Turn, int] = field(default_factory=dict)

    async def decide(self, request: AdmissionRequest, ask: Ask) -> Admission:
        """What the script says of this place, with the probability that it had."""
        turn = request.step.team, request.step.step
        stored = self.decisions.get(turn) if request.coordinates == self.coordinates else None
        if stored is None:
            return await self.otherwise.decide(request, ask)
        action = self.actions.get(turn, stored.action)
        if action == stored.action:
            return Admission(action, stored.log_prob, stored.admit_probability, stored.target)
        probability = stored.admit_probability if action == ADMIT else 1.0 - stored.admit_probability
        log_prob = math.log(probability) if probability > 0.0 else -math.inf
        return Admission(action, log_prob, stored.admit_probability)


def scripted(rollout: Rollout, otherwise: AdmissionPolicy, actions: Mapping[Turn, int] | None = None) -> ScriptedPolicy:
    """The policy that decides as a stored rollout did, but for `actions`."""
    decisions = {(taken.team, taken.step): taken for taken in rollout.decisions}
    return ScriptedPolicy(
        otherwise, rollout.policy, rollout.listing_window, rollout.coordinates, decisions, actions or {}
    )


def turned(action: int) -> int:
    """The other of the two actions."""
    return REJECT if action == ADMIT else ADMIT
