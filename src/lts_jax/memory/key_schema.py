"""What may stand in a key. One poisoned key reaches every other team at every later step, so keys have a schema.

A key is one line, not too long, without invisible or control characters, role markers, words of our own protocol,
addresses or code. What looks like a letter after compatibility folding (full-width text) counts as that letter.
A line that only says one thing again and again is no key either.
The schema says nothing about meaning: a false or a cunning sentence in plain words passes it.

A model may write any amount of anything, and every team waits while it is looked at: a text is cut before a pattern
sees it, and no pattern repeats without a bound.
"""

import json
import re
import unicodedata
from functools import lru_cache

from lts_jax.memory.guards import GuardSettings, KeyRule
from lts_jax.memory.text import one_line
from lts_jax.records import EARLIER, MemoryEntry, Origin, Trust

_INVISIBLE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f\u2028-\u202e"
    r"\u2060-\u206f\ud800-\uf8ff\ufeff\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U0001345f\U0001bca0-\U0001bca3"
    r"\U0001d173-\U0001d17a\U000e0000-\U000e0fff\U000f0000-\U0010ffff]"
)  # Unicode's control, format, surrogate, private-use and line-separator characters, but for line feed and tab
_LINE_ENDS = re.compile(r"\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")

_SPEAKERS = "system|assistant|user|human|developer|orchestrator|tool|function|ai|bot|admin(?:istrator)?|sharedmemory"
_ROLE = re.compile(
    rf"<\|[^|>]{{0,40}}\|?>?|\[/?(?:inst|sys)\]|<</?sys>>|</?s>|#{{2,}}+(?:\s?\w{{1,80}}+\s?:)?"
    rf"|(?:^|[.;:!?\])}}>\"'|*#_-])[\s\[(<*#_\"']{{0,80}}+(?:{_SPEAKERS})(?:\s(?:message|prompt|role|note))?"
    rf"[\s\])>*_\"']{{0,80}}+:|[\[(<{{]\s?/?(?:{_SPEAKERS})\b[^\])>}}]{{0,40}}[\])>}}]",
    re.IGNORECASE,
)
_ROLE_WORD = re.compile(
    r"\b(system|assistant|user|human|developer|orchestrator|administrator|admin)\b[\s\])>*_\"']{0,3}:", re.IGNORECASE
)  # also inside a sentence, where a line end may have stood before: "the solar system: 8 planets" loses its colon
_PROTOCOL = re.compile(r"selected[_ ]keys|final[_ ]answer|<{2,}|>{2,}|```|\[\s*\d+\s*\]", re.IGNORECASE)
_ADDRESS = re.compile(
    r"!?\[[^\[\]]*+\]\([^)]{0,300}\)|\b[a-z][a-z0-9+.-]{1,15}://\S*|\b(?:javascript|data|mailto|file|vbscript):\S+|\bwww\.\S+"
    r"|\b(?:[a-z0-9-]{1,99}\.){1,8}[a-z]{2,12}/\S*|\b(?:[a-z0-9-]{1,99}\.){1,8}(?:com|org|net|io|dev|app|ai|co|info|biz|ru|cn|xyz|example)\b"
    r"|\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?(?:/\S*)?",
    re.IGNORECASE,
)
_CODE = re.compile(
    r"`+|</?[a-z!][^>]{0,80}>|<(?:script|img|iframe|svg)\b|\$\([^)]*\)?|\$\{[^}]*\}?|\{\{.{0,300}?\}\}|\{\{|\}\}|[{\[]\s*\"[^\"]*\"\s*[:,]"
    r"|\b[a-z_]\w{0,99}+(?:\.[a-z_]\w{0,99}+){1,8}\([^)]*\)?|\b(?:eval|exec|system|print|open|require|fetch|input|compile)\([^)]*\)?"
    r"|__\w{1,99}?__|\b(?:import\s+(?:os|sys|subprocess|socket|requests)|from\s+\w+\s+import|def\s+\w+\(|lambda\s+\w*:)"
    r"|(?:&&|\|\||;|\|)\s*(?:rm|curl|wget|bash|sh|sudo|chmod|cat|nc|python3?)\b[^;|&]*"
    r"|\b(?:rm\s+-\w+|curl\s+-?\S+|wget\s+\S+|sudo\s+\w+|chmod\s+\S+)|\b(?:drop\s+table|union\s+select|insert\s+into)\b",
    re.IGNORECASE,
)
_MAY_BE_ADDRESS = re.compile(r"[.:]\S|\]\(")
_MAY_BE_CODE = re.compile(
    r"[`<$({}\[_;|&]|\b(?:import|from|lambda|rm|curl|wget|sudo|chmod|drop|union|insert)\b", re.IGNORECASE
)
_RULES = (  # name, what every match holds and is quickly looked for, the pattern, what stands in its place
    ("role marker", _ROLE, _ROLE, " "),
    ("role word", _ROLE_WORD, _ROLE_WORD, r"\1 -"),
    ("protocol word", _PROTOCOL, _PROTOCOL, " "),
    ("address", _MAY_BE_ADDRESS, _ADDRESS, "(address)"),
    ("code", _MAY_BE_CODE, _CODE, " "),
)
_NUM_PASSES = 4  # taking one thing out may put another together
_REPEATED = re.compile(r"(\S.{0,99}?)\1{2,}")
_LONG_WORD = 24  # characters; a key of few different words, or with a longer one, is looked at for repetition


def key_problems(key: str, max_characters: int) -> tuple[str, ...]:
    """What a key breaks of the schema, in words; empty for a good key. Of a long key the start is searched."""
    problems = [f"longer than {max_characters} characters"] if len(key) > max_characters else []
    key = key[: _most_read(max_characters)]
    if not key.isprintable() and _LINE_ENDS.search(key.strip()):
        problems.append("more than one line")
    if not key.isprintable() and _INVISIBLE.search(key):
        problems.append("control character")
    folded = _searched(key)
    problems += ["repetition"] if _repeats_itself(folded) else []
    problems += [name for name, hint, pattern, _ in _RULES if hint.search(folded) and pattern.search(folded)]
    if not key.strip():
        problems.append("empty")
    return tuple(problems)


def repaired_key(key: str, max_characters: int) -> str:
    """A key of the schema made from any text; a good key comes back as it is. Empty if nothing is left.

    Only the first 4 * `max_characters` are looked at. What says one thing again and again is not mended.
    """
    if not key_problems(key, max_characters):
        return key
    text = _searched(key[: _most_read(max_characters)])
    if _repeats_itself(text):
        return ""
    for _ in range(_NUM_PASSES):
        for _, _, pattern, instead in _RULES:
            text = pattern.sub(instead, text)
    text = " ".join(text.split())[:max_characters].rstrip()
    if key_problems(text, max_characters):  # an odd mixture: letters, digits and spaces alone remain
        text = " ".join(re.sub(r"[\W_]+", " ", text).split())[:max_characters].rstrip()
    return "" if key_problems(text, max_characters) or not re.search(r"\w", text) else text


def admissible_key(summary: str, guards: GuardSettings) -> str | None:
    """The key that a summary becomes under the guards; None where it is refused."""
    if guards.keys == "off":
        return one_line(summary)
    if len(summary) > (most := _most_read(guards.max_key_characters)):
        summary = summary.lstrip()[:most]
    return _admissible(summary, guards.keys, guards.max_key_characters)


@lru_cache(maxsize=8192)  # a summary is asked about when it is written and again when it is stored
def _admissible(summary: str, rule: KeyRule, max_characters: int) -> str | None:
    key = one_line(summary)
    if not key:
        return key
    whole = key == summary.strip() or not _ROLE.search(_searched(summary.strip()))  # one that opened a line
    if whole and not key_problems(key, max_characters):
        return key
    return (repaired_key(summary, max_characters) or None) if rule == "repair" else None


def _most_read(max_characters: int) -> int:
    """Characters of a text that a key may be made from: more than taking things out leaves room for."""
    return 4 * max_characters


def _searched(key: str) -> str:
    """A key as the patterns see it: folded, no two spaces in a row."""
    folded = folded_text(key)
    return folded if "  " not in folded and folded.isprintable() else re.sub(r"\s+", " ", folded)


def _repeats_itself(text: str) -> bool:
    """Whether more than half of a text is one phrase at least three times in a row."""
    words = text.casefold().split()
    if 2 * len(set(words)) > len(words) and max(map(len, words)) <= _LONG_WORD:
        return False
    line = " ".join(words) + " "
    return len(line) >= 24 and 2 * sum(len(found[0]) for found in _REPEATED.finditer(line)) > len(line)


def template_key(team: int, step: int, origin: Origin) -> str:
    """A key without a word of the content, for entries that are not trusted."""
    if team == EARLIER:
        return f"Result of an earlier task, from {origin.value}; the content is not summarised here"
    return f"Result of step {step} of team {team}, from {origin.value}; the content is not summarised here"


def shown_key(entry: MemoryEntry, *, quoted: bool) -> str:
    """A key as a team sees it: plain, or a JSON string with origin and trust behind it, so that it reads as data.

    What an earlier task left begins by saying so.
    """
    opening = "Of an earlier task: " if entry.team == EARLIER else ""
    if not quoted:
        return opening + entry.key
    told = f"{entry.origin.value}, {entry.trust.value}" if entry.trust != Trust.TRUSTED else entry.origin.value
    return f"{opening}{json.dumps(entry.key, ensure_ascii=False)} ({told})"


def visible(text: str) -> str:
    """A text without invisible and control characters; line breaks and tabs stay. The same object if it has none."""
    if text.replace("\n", "").isprintable() or not _INVISIBLE.search(text):
        return text
    return _INVISIBLE.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def folded_text(text: str) -> str:
    """A text on one line, compatibility forms folded (NFKC), invisible characters gone; line ends become semicolons.

    So what opened a line of its own, as a role marker does, still stands after punctuation.
    """
    if not text.isprintable():
        text = _INVISIBLE.sub("", _LINE_ENDS.sub("; ", text)).replace("\t", " ")
    return unicodedata.normalize("NFKC", text)
