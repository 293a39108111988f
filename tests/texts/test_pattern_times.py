"""No text of a model, a tool or a page holds the event loop: the work grows with its length, and no faster.

CPU time is counted, not the clock. What takes little is let pass; what takes more must not grow faster than the text,
with a wide margin, in the best of three tries.
"""

import importlib
import inspect
import pkgutil
import re
import time

import pytest
from pattern_attacks import attacks

import lts_jax
from lts_jax.evaluation.answer_quality import parse_quality, quality_by_rule
from lts_jax.llm.well_formed import replace_surrogates
from lts_jax.memory.code_reading import numbers_read, printed_values, with_values
from lts_jax.memory.guards import GuardSettings
from lts_jax.memory.key_schema import admissible_key, folded_text, key_problems, repaired_key, visible
from lts_jax.memory.key_scores import words_of
from lts_jax.memory.selection import parse_selection
from lts_jax.memory.summarize import _clean, rule_summary
from lts_jax.memory.trust import labels_of_call
from lts_jax.records import Message, Step
from lts_jax.redact import redact_text
from lts_jax.tasks.scoring import assistantbench, gaia
from lts_jax.teams.aggregate import extract_answer
from lts_jax.teams.ledger import parse_ledger
from lts_jax.teams.thread_items import items_of
from lts_jax.teams.tolerant_json import find_objects, plain_text
from lts_jax.teams.workers import last_code, parse_tool_call

LITTLE = 0.2  # CPU seconds
LENGTH = 64_000

READERS = {
    "admissible_key": lambda text: admissible_key(text, GuardSettings()),
    "admissible_key, refused": lambda text: admissible_key(text, GuardSettings(keys="refuse")),
    "admissible_key, long": lambda text: admissible_key(text, GuardSettings(max_key_characters=2_000)),
    "key_problems": lambda text: key_problems(text, 300),
    "repaired_key": lambda text: repaired_key(text, 300),
    "folded_text": folded_text,
    "visible": visible,
    "redact_text": redact_text,
    "parse_ledger": parse_ledger,
    "find_objects": find_objects,
    "plain_text": plain_text,
    "replace_surrogates": replace_surrogates,
    "extract_answer": extract_answer,
    "parse_selection": parse_selection,
    "parse_quality": parse_quality,
    "quality_by_rule": lambda text: quality_by_rule(text, "12", 0.0),
    "words_of": words_of,
    "items of a reply": lambda text: items_of([Message("user", text, "WebSurfer")]),
    "items of a value": lambda text: items_of([Message("user", f"Shared\n<<<\n{text}\n>>>", "SharedMemory")]),
    "parse_tool_call": lambda text: parse_tool_call(text, {"web_search": ("query",)}),
    "numbers_read": numbers_read,
    "with_values": lambda text: with_values(text, {1: "x"}),
    "printed_values": lambda text: printed_values(text, {}),
    "last_code": lambda text: last_code([Message("assistant", text, "Coder")]),
    "rule_summary": lambda text: rule_summary(Step(0, 0, "Coder", "go on", "", text), 20),
    "summary of a reply": lambda text: _clean(text, 20),
    "labels_of_call": lambda text: labels_of_call("web_search", {}, text),
    "assistantbench": lambda text: assistantbench.score(text, '{"name": "Mill pond"}'),
    "gaia": lambda text: gaia.score(text, "Mill pond, Long pond"),
}

PUMPS = (
    "_", "a.", "'\"", "*", "![", "[", "1.1.", "eyJ-", " ", "\n", "\t ", "`", "```\n", "```python\n", "{", "{\"a\":",
    "[1,", "{{", "$(", "://", "<", "<|", "[](", "](", "#", "# ", ";", "; system", "ai", "bot ", "\\", "\\u", "\"",
    "'", "{'", "\ud800", "\u200b", "\uff21", "final answer:", "final answer: ...\n", "selected_keys",
    "selected_keys = [", "]", "[[", "1", "-1", "1,", "get_shared_memory_value(", "print(get_shared_memory_value(1",
    "password ", "password=", "token ", "aws key", "sk-", "-----BEGIN PRIVATE KEY-----", "https://", "<http://a ",
    "ab_c.d(", "\u2028", "summary:", "**", "__a", "|", "&&", "x{", "bearer ", "key: ", "\u0130", "The answer is: ",
)  # fmt: skip
STARTS = ("", "Form field ", "selected_keys", "Traceback \n", '{"a": 1, ', "```python\n", "system")


def seconds(function, text):
    start = time.process_time()
    function(text)
    return time.process_time() - start


def is_slow(function, make, length, little=LITTLE):
    """Whether it takes more than a little, and more than 24 times as long for eight times the text."""
    for _ in range(3):
        took = seconds(function, make(length))
        if took <= little or took <= 24 * seconds(function, make(length // 8)):
            return False
    return True


@pytest.mark.parametrize("name", READERS)
def test_a_reader_of_any_text_is_done_at_once(name):
    slow = []
    for place, pump in enumerate(PUMPS):
        start, end = STARTS[place % len(STARTS)], "\x02!"[place % 2]

        def make(length, start=start, pump=pump, end=end):
            return start + pump * (length // len(pump)) + end

        slow += [(start, pump)] if is_slow(READERS[name], make, LENGTH) else []
    assert not slow


MOST_SEEN = {  # characters
    "memory.key_schema": 8_000, "live.tools.charsets": 2_048, "reports.text": 8_000, "llm.openai_problem": 4_000,
}  # fmt: skip
OWN_TEXTS = ("llm.simulated", "tasks.almanac")  # read and write what the offline world wrote


def patterns():
    """Every pattern that a module holds, alone or in a list of records, with how the module uses it."""
    for found in pkgutil.walk_packages(lts_jax.__path__, "lts_jax."):
        short = found.name.removeprefix("lts_jax.")
        if short.startswith((*OWN_TEXTS, "adapters", "cli", "models", "lab", "environments", "learning", "commands")):
            continue
        module = importlib.import_module(found.name)
        source = inspect.getsource(module)
        for name, value in vars(module).items():
            for pattern in _patterns_in(value) if re.search(rf"^{name}\b[^=\n]*=", source, re.MULTILINE) else ():
                used = re.findall(rf"\b{name}\.(match|fullmatch|search|sub|findall|finditer|split)\(", source)
                yield short, name, pattern, tuple(dict.fromkeys(used)) or ("search", "findall")


def _patterns_in(value):
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, tuple):
        for one in value:
            yield from _patterns_in(one if not hasattr(one, "pattern") or isinstance(one, re.Pattern) else one.pattern)


def test_no_pattern_takes_longer_than_its_text_grows():
    slow, num_seen = [], 0
    for module, name, pattern, used in patterns():
        length = min(MOST_SEEN.get(module, LENGTH), LENGTH // 8)
        num_seen += 1
        for head, pump, tail in attacks(pattern):

            def make(length, head=head, pump=pump, tail=tail, pattern=pattern):
                text = head + pump * (length // len(pump)) + tail
                return text.encode("latin-1") if isinstance(pattern.pattern, bytes) else text

            for method in used:
                call = getattr(pattern, method)
                run = {
                    "sub": lambda text, call=call: call("", text),
                    "finditer": lambda text, call=call: list(call(text)),
                }
                if is_slow(run.get(method, call), make, length, little=0.05):
                    slow.append((module, name, method, head[:20], pump[:20], tail[:20]))
    assert not slow
    assert num_seen > 40
