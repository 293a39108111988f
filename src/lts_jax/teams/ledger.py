"""The progress ledger: five answers read out of whatever a model replied, or one line that says what is wrong."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from lts_jax.prompts import AGENTS
from lts_jax.teams.tolerant_json import MAX_CHARACTERS, JsonSearch, find_objects, is_whole_json, plain_text
from lts_jax.wording import LEDGER_FIELDS

MAX_INSTRUCTION_CHARACTERS = 4_000

_FLAGS = LEDGER_FIELDS[:3]
_SPEAKER, _INSTRUCTION = LEDGER_FIELDS[3:]
_TRUTH = {"true": True, "yes": True, "false": False, "no": False}
_REFUSAL = re.compile(
    r"\b(sorry|as an ai|i (?:cannot|can not|won't|can't|am unable)|i'm unable|not able to (?:help|assist))\b",
    re.IGNORECASE,
)
_CONTENTS = ("content", "text", "reply", "output", "response", "answer")  # where a message keeps what it says
_ABSENT = object()
_NAMES = frozenset(LEDGER_FIELDS)


@dataclass(frozen=True, slots=True)
class Ledger:
    """One progress check. `next_speaker` is a member of the team unless the request is satisfied."""

    is_request_satisfied: bool
    is_in_loop: bool
    is_progress_being_made: bool
    next_speaker: str
    instruction: str


@dataclass(frozen=True, slots=True)
class LedgerProblem:
    """Why a reply is no ledger: `kind` for counting, `text` for the model, one line."""

    kind: str
    text: str


def parse_ledger(text: str, agents: Collection[str] = tuple(AGENTS), *, is_cut: bool = False) -> Ledger | LedgerProblem:
    """Read a ledger out of a reply. Never raises.

    Let pass: any fence, prose around the object, Python spelling, trailing commas, a wrapping object, bare values
    instead of {"reason", "answer"}, booleans as the words true, false, yes, no, an agent's name in other spelling, no
    speaker and no instruction when the request is satisfied, several blocks that say the same, a ledger as the text of
    a JSON string or of a message's content. All else is a problem, also a key that is given twice.
    `agents`: names of the team's members. `is_cut`: the reply was ended by a limit; then only a whole object counts.
    """
    if not text.strip():
        return LedgerProblem("empty", "the reply was empty")
    if is_cut and not is_whole_json(text):
        return LedgerProblem("truncated", "the reply was cut at its limit of tokens; it must be shorter")
    search = find_objects(text)
    repeated = sorted(search.repeated & {*LEDGER_FIELDS, "answer"}) if search.repeated else ()
    if repeated:
        return LedgerProblem("contradicting_keys", f"it gives {repeated[0]} more than once, with answers that differ")
    found = [_read(each, agents) for each in _candidates(search.objects)]
    ledgers = [each for each in found if isinstance(each, Ledger)]
    if any(each != ledgers[0] for each in ledgers[1:]):
        return LedgerProblem("contradicting_blocks", "it holds several JSON objects that contradict each other")
    if ledgers:
        return ledgers[0]
    return next((each for each in found if isinstance(each, LedgerProblem)), None) or _no_ledger(text, search)


def _candidates(objects: tuple[dict[str, Any], ...]) -> list[Mapping[str, Any]]:
    """The objects that have a ledger's keys, or that wrap one that has."""
    around = [each for each in objects if not _looks_right(each)]
    if not around:
        return [*objects]
    inner = [value for each in around for value in each.values() if isinstance(value, dict)]
    texts = [each[name] for each in around for name in _CONTENTS if isinstance(each.get(name), str)]
    quoted = [found for text in texts for found in find_objects(text).objects]
    return [each for each in (*objects, *inner, *quoted) if _looks_right(each)]


def _looks_right(found: Mapping[str, Any]) -> bool:
    return not _NAMES.isdisjoint(found)


def _no_ledger(text: str, search: JsonSearch) -> LedgerProblem:
    if len(text) > MAX_CHARACTERS:
        return LedgerProblem("too_long", f"the reply has {len(text)} characters and no usable JSON object")
    if search.truncated:
        return LedgerProblem("truncated", "the JSON object breaks off before its closing brace")
    if search.objects:
        return LedgerProblem("missing_field", f"the JSON object has none of the keys {', '.join(LEDGER_FIELDS)}")
    if _REFUSAL.search(text.replace("’", "'")):
        return LedgerProblem("refusal", "it refuses instead of giving the JSON object; only the status is asked for")
    if "{" in text:
        return LedgerProblem("not_json", "what follows the brace is not JSON")
    return LedgerProblem("no_json", "there is no JSON object in it")


def _read(found: Mapping[str, Any], agents: Collection[str]) -> Ledger | LedgerProblem:
    answers = {name: _answer(found, name) for name in LEDGER_FIELDS}
    absent = [name for name, value in answers.items() if value is _ABSENT]
    if absent:
        return LedgerProblem("missing_field", f"these keys, or their answers, are missing: {', '.join(absent)}")
    flags = [_flag(answers[name]) for name in _FLAGS]
    for name, flag in zip(_FLAGS, flags, strict=True):
        if flag is None:
            return LedgerProblem(
                "wrong_type", f"the answer of {name} must be true or false, not {_excerpt(answers[name])}"
            )
    if flags[0]:
        return Ledger(True, bool(flags[1]), bool(flags[2]), "", "")
    return _read_order(answers[_SPEAKER], answers[_INSTRUCTION], bool(flags[1]), bool(flags[2]), agents)


def _read_order(
    speaker: object, asked: object, is_in_loop: bool, is_progress: bool, agents: Collection[str]
) -> Ledger | LedgerProblem:
    if not isinstance(speaker, str):
        return LedgerProblem("wrong_type", f"the answer of {_SPEAKER} must be text, not {_excerpt(speaker)}")
    agent = speaker if speaker in agents else next((name for name in agents if _bare(name) == _bare(speaker)), None)
    if agent is None:
        return LedgerProblem(
            "unknown_speaker", f"{_SPEAKER} must be one of {', '.join(agents)}, not {_excerpt(speaker)}"
        )
    if not isinstance(asked, str):
        return LedgerProblem("wrong_type", f"the answer of {_INSTRUCTION} must be text, not {_excerpt(asked)}")
    if len(asked) > MAX_INSTRUCTION_CHARACTERS:
        return LedgerProblem(
            "too_long", f"{_INSTRUCTION} has {len(asked)} characters; at most {MAX_INSTRUCTION_CHARACTERS} are read"
        )
    asked = plain_text(asked).strip()
    if not asked:
        return LedgerProblem("empty_instruction", f"{_INSTRUCTION} is empty")
    return Ledger(False, is_in_loop, is_progress, agent, asked)


def _bare(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).lower()


def _answer(found: Mapping[str, Any], name: str) -> object:
    value = found.get(name, _ABSENT)
    return value.get("answer", _ABSENT) if isinstance(value, dict) else value


def _flag(value: object) -> bool | None:
    if isinstance(value, bool):
        return value
    return _TRUTH.get(value.strip().strip(".").lower()) if isinstance(value, str) else None


def _excerpt(value: object) -> str:
    """At most 60 characters of a wrong value, on one line."""
    text = " ".join(plain_text(str(value)).split())
    return repr(text[:60]) if isinstance(value, str) else text[:60]
