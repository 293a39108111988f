"""What a rollout hears of a completion, from whatever model: speech, without the thoughts."""

from dataclasses import replace

from lts_jax.llm.chat import Completion, FailureKind, ModelFailure
from lts_jax.llm.speech import read_speech
from lts_jax.rollouts.failed_calls import error_of


def heard(completion: Completion) -> tuple[Completion, str]:
    """The completion with its thoughts apart, and the error of one that only thinks, else ""."""
    if not completion.thought:  # else the client has told the one from the other
        speech = read_speech(completion.reply)
        if speech.text is not completion.reply or speech.thought:
            completion = replace(completion, reply=speech.text, thought=speech.thought)
    if not completion.thought or completion.reply.strip():
        return completion, ""
    return completion, error_of(ModelFailure("the model reasoned and said nothing", kind=FailureKind.NO_TEXT))
