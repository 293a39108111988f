"""A step becomes its 15-20 word summary: by a model, or by rule when the model fails."""

import re
from dataclasses import dataclass

from lts_jax import prompts
from lts_jax.llm.chat import Ask
from lts_jax.memory.text import cut, first_words, one_line
from lts_jax.records import Step

_PREAMBLE = re.compile(r"^(?:\*\*)?(?:summary|step summary)(?:\*\*)?\s*:\s*(?:\*\*)?\s*", re.IGNORECASE)
_QUOTES = "\"'`*"


@dataclass(frozen=True, slots=True)
class SummarySettings:
    """How a step is summarised.

    `max_words`: words of a summary; it asks for up to five fewer (the paper asks for 15-20 and found 45-50 to do as
    well). `max_output_characters`: how much of the step's output the summariser reads (the paper's calls are about 750
    tokens for 2,000 characters).
    """

    max_words: int = 20
    max_output_characters: int = 2000

    def __post_init__(self) -> None:
        if self.max_words < 4:
            raise ValueError(f"SummarySettings.max_words: expected at least 4, got {self.max_words}")
        if self.max_output_characters < 1:
            raise ValueError(
                f"SummarySettings.max_output_characters: expected at least 1, got {self.max_output_characters}"
            )


async def summarize_step(question: str, step: Step, ask: Ask, settings: SummarySettings) -> str:
    """Summarise one step with a stateless model call: one line, never empty, at most `max_words` words.

    Failed and empty steps are summarised like any other. When the call fails, says nothing, or is cut before its
    last word, the summary is `rule_summary`.
    """
    output = cut(step.output, settings.max_output_characters) if step.output.strip() else "(empty reply)"
    num_words = (max(1, settings.max_words - 5), settings.max_words)
    request = prompts.summarize_request(question, step.agent, step.instruction, output, num_words)
    call = await ask("summarize", [request])
    if call.error:
        return rule_summary(step, settings.max_words)
    summary = _clean(call.reply, settings.max_words)
    if call.is_cut and len(summary.split()) < settings.max_words:  # its end may be missing
        return rule_summary(step, settings.max_words)
    return summary or rule_summary(step, settings.max_words)


def rule_summary(step: Step, max_words: int) -> str:
    """Summary without a model: the agent, the start of its instruction, and the start of its output.

    Of a traceback the last line is taken, which names the error. At most half of the words are the instruction's.
    """
    verb = "failed at" if step.failed else "on"
    lead = first_words(f"{step.agent or 'Agent'} {verb} {step.instruction or 'no instruction'}", max_words // 2)
    room = max(1, max_words - len(lead.split()))
    return f"{lead.rstrip(' .:')}: {first_words(_telling_part(step.output), room) or 'nothing'}"


def _telling_part(output: str) -> str:
    lines = [line for line in output.splitlines() if line.strip()]
    if not lines:
        return "empty reply"
    traceback_at = next((place for place, line in enumerate(lines) if line.startswith("Traceback ")), None)
    return output if traceback_at is None else lines[-1]


def _clean(reply: str, max_words: int) -> str:
    """The summary inside a model's reply: fences, a "Summary:" preamble and outer quotes are taken off."""
    lines = [line for line in reply.splitlines() if not line.lstrip().startswith("```")]
    text = _PREAMBLE.sub("", one_line("\n".join(lines)).strip(_QUOTES + " "))
    return first_words(text.strip(_QUOTES + " "), max_words)
