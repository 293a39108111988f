"""Ledger replies that cannot be used as they are, of the kinds that real models produce."""

import json

from lts_jax.llm.simulated.chances import Chances

_REFUSAL = "I am sorry, but I cannot continue with this request."


def spoil(reply: str, chances: Chances) -> str:
    """Spoil a ledger reply in one of eight ways."""
    kind = chances.below(8)
    if kind == 0:
        return reply[: len(reply) // 2]  # cut off
    if kind == 1:
        return _REFUSAL
    if kind == 2:
        return ""
    if kind == 3:
        return "The team is making progress and should go on with the next bullet of the plan."
    fields = json.loads(reply)
    if kind == 4:
        del fields["next_speaker"]
    elif kind == 5:
        fields["next_speaker"]["answer"] = "Orchestrator"
    elif kind == 6:
        fields["is_request_satisfied"]["answer"] = str(fields["is_request_satisfied"]["answer"]).lower()
    else:
        fields["instruction_or_question"]["answer"] = 7
    return f"```json\n{json.dumps(fields)}\n```" if kind == 6 else json.dumps(fields)
