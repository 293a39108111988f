"""How a team's orchestrator is asked for its progress ledger: in Magentic-One's form, or in a short one."""

from collections.abc import Iterable
from typing import Literal

LEDGER_FIELDS = (
    "is_request_satisfied",
    "is_in_loop",
    "is_progress_being_made",
    "next_speaker",
    "instruction_or_question",
)

SHORT_FIELDS = (*LEDGER_FIELDS[3:], *LEDGER_FIELDS[:3])
"""In the short form's order: a model without room to reason says what is to be done before it says whether all is."""

LedgerForm = Literal["full", "short"]
"""Five answers, each with its reason (Magentic-One, arXiv 2411.04468); or five bare answers, for small models."""

SHORT_LEDGER = "five bare values"
"""Words by which the short form is known."""


def ledger_words(agents: Iterable[str], form: LedgerForm = "full") -> str:
    """The request for a ledger by a team of these agents."""
    names = f"next_speaker is one of {', '.join(agents)}; instruction_or_question is what that agent is told"
    if form == "short":
        return (
            f"What is to be done next? Reply with one JSON object of {SHORT_LEDGER} and nothing else. {names}, in one "
            "sentence. is_request_satisfied is true only if the values that were asked for stand above. Like this: "
            '{"next_speaker": "WebSurfer", "instruction_or_question": "Find ...", "is_request_satisfied": false, '
            '"is_in_loop": false, "is_progress_being_made": true}'
        )
    return (
        "Reply with one JSON object and nothing else. Its keys are "
        + ", ".join(LEDGER_FIELDS)
        + '; each is an object {"reason": text, "answer": value}. The first three answers are true or false; '
        + names
        + ", complete in itself."
    )
