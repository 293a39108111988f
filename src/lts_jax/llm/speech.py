"""The one place where what a model wrote becomes what it says: thoughts and marks of the chat template are taken out.

Reasoning models think aloud before they speak, and what is thought is neither an answer, nor a tool call, nor code.
Known are closed thoughts, thoughts whose opening tag the template has already written, thoughts that never end (nothing
after them was said), channels (harmony), and tags of several families. Tags in quotes, in backticks or inside a JSON
object are talked about, and stay.
"""

import json
import re
from dataclasses import dataclass

_ANYWHERE = r"think|thinking|thought|thoughts|antthinking|inner_monologue"
_AT_START = r"reasoning|reason|reflection|scratchpad|analysis|rationale|chain_of_thought|cot"  # other markup has them
_NAMED = rf"(?:\w{{1,20}}:)?(?P<name>{_ANYWHERE}|{_AT_START})"
_TAG = re.compile(
    rf"<(?P<close>/?)\s{{0,3}}{_NAMED}(?:\s[^<>]{{0,200}})?>"
    r"|\[(?P<close2>/?)THINK(?:ING)?\]"
    r"|[◁⟨](?P<close3>/?)(?:think|thinking)[▷⟩]"
    r"|<\|(?P<close4>/?)(?:think|thinking|thought)\|>"
    r"|<\|(?P<word>begin|start|end)_?(?:of_?)?(?:think|thinking|thought|reasoning)\|>",
    re.IGNORECASE,
)
_THINK = re.compile(r"\[/?THINK", re.IGNORECASE)
_ANALYSIS = re.compile(r"\s*analysis(?=[A-Z\"'])", re.IGNORECASE)
_SPOKEN_AT_START = re.compile(rf"(?:{_ANYWHERE})\Z", re.IGNORECASE)
_CHANNEL = re.compile(
    r"<\|channel\|>\s{0,3}+(?P<channel>\w{1,40}+)(?P<head>[^<]{0,200}+(?:<\|constrain\|>[^<]{0,50}+)?)<\|message\|>"
    r"(?P<text>.*?)(?=<\|(?:end|return|call|start|channel)\|>|\Z)",
    re.DOTALL,
)
_RECIPIENT = re.compile(r"\bto=(?:functions\.)?([\w.-]+)")
_BARE_CHANNELS = re.compile(
    r"\A\s*analysis(?=[A-Z\"'])(?P<thought>.*?)(?:assistant(?:final|commentary)(?P<said>.*))?\Z", re.DOTALL
)
_START_MARK = re.compile(
    r"\A\s*(?:<\|(?:im_start|start|start_header_id|begin_of_text|assistant|START_OF_TURN_TOKEN|CHATBOT_TOKEN"
    r"|START_RESPONSE|start_of_role|end_of_role|end_header_id|begin_of_solution|message|bos|startoftext)\|>"
    r"(?:\s*assistant\b(?=\s|<|\Z))?|<start_of_turn>(?:model\b)?|<bos>|<s>|\[/INST\]|<｜(?:begin▁of▁sentence|Assistant)｜>)\s*"
)
_END_MARK = re.compile(
    r"<\|(?:im_end|im_start|end|endoftext|end_of_text|eot_id|eom_id|eot|return|call|start_header_id|end_of_turn"
    r"|END_OF_TURN_TOKEN|END_RESPONSE|end_of_solution|user|eos|start_of_role)\|>"
    r"|</s>(?=\s*(?:\Z|<s>|\[INST\]|<\|))|<(?:end_of_turn|start_of_turn|eos|eod|pad)>|<｜(?:end▁of▁sentence|User)｜>|\[INST\]"
)
_STRAY = re.compile(r"<\|[A-Za-z_]{2,30}\|>")
_WRAPPED = re.compile(r"\A\s*+<(answer|response|output|final|final_answer)>", re.IGNORECASE)
_QUOTED_PAIR = re.compile(r"([\"'`])<\w{1,20}>[^\n]{0,200}?</\w{1,20}>\1")  # a pattern in a program, an example
_QUOTES = "\"'`“”‘’"
_MAX_STARTS = 64  # JSON objects that are looked for


@dataclass(frozen=True, slots=True)
class Speech:
    """What was said, and what was thought beside it. A thought that never ended leaves nothing said after it."""

    text: str
    thought: str = ""


def read_speech(written: str) -> Speech:
    """Tell what was said from what was thought in a text that a model wrote.

    Never raises. A text that is strict JSON as a whole, and one without any mark, come back as they are.
    """
    if not _may_hold_marks(written) or _is_json(written):
        return Speech(written)
    text, thought = _without_channels(written)
    text, more = _without_thoughts(_without_start(text))
    text = _without_strays(_until_end(_without_start(text)))
    text = _unwrapped(text)
    thoughts = "\n".join(part for part in (thought, more) if part.strip())
    return Speech(written if text == written else text.strip(), thoughts.strip())


def _may_hold_marks(text: str) -> bool:
    """Most replies hold none, and single characters are looked for much faster than a pattern."""
    if "<" in text or "◁" in text or "⟨" in text:
        return True
    return ("[" in text and _THINK.search(text) is not None) or _ANALYSIS.match(text) is not None


def _is_json(text: str) -> bool:
    if text[:50].lstrip()[:1] not in ("{", "["):
        return False
    try:
        return isinstance(json.loads(text), dict | list)
    except (ValueError, RecursionError):
        return False


def _without_start(text: str) -> str:
    """The text without the marks of the template that a turn opens with."""
    while True:
        mark = _START_MARK.match(text)
        if mark is None or mark.end() == 0:
            return text
        text = text[mark.end() :]


def _unwrapped(text: str) -> str:
    """What stands in a tag around all that was said."""
    opened = _WRAPPED.match(text)
    if opened is None:
        return text
    inside, closing = text[opened.end() :].rstrip(), f"</{opened[1]}>"
    return inside[: -len(closing)] if inside.lower().endswith(closing.lower()) else inside


def _until_end(text: str) -> str:
    """The text up to the first mark that ends a turn: what follows it is the model playing the others."""
    kept = next((mark.start() for mark in _END_MARK.finditer(text) if not _is_quoted(text, mark)), None)
    return text if kept is None else text[:kept].rstrip()


def _without_strays(text: str) -> str:
    """The text without marks of a template that are left in its middle."""
    if "<|" not in text:
        return text
    inside = _json_spans(text)
    return _STRAY.sub(lambda mark: mark[0] if _is_quoted(text, mark) or _is_inside(mark, inside) else "", text)


def _without_channels(text: str) -> tuple[str, str]:
    """What stands in the final channel, or a tool call of another one; and what stands in all others."""
    bare = _BARE_CHANNELS.match(text)
    if bare is not None:
        return bare["said"] or "", bare["thought"]
    parts = [part for part in _CHANNEL.finditer(text) if not _is_quoted(text, part)]
    if not parts:
        return text, ""
    calls = [called for part in parts if (called := _called(part))]
    finals = [part["text"] for part in parts if part["channel"].lower() == "final"]
    said = finals[-1] if finals else next(iter(calls), "")
    thoughts = [part["text"] for part in parts if part["channel"].lower() != "final" and not _called(part)]
    return said, "\n".join([*thoughts, *finals[:-1]])


def _called(part: re.Match[str]) -> str:
    """The tool call in a channel as a JSON object, or ""."""
    recipient = _RECIPIENT.search(part["head"])
    if part["channel"].lower() == "final" or recipient is None:
        return ""
    return json.dumps({"tool": recipient[1], "arguments": part["text"].strip()}, ensure_ascii=False)


def _without_thoughts(text: str) -> tuple[str, str]:
    tags = _tags(text)
    said: list[str] = []
    thought: list[str] = []
    at, place = 0, 0
    while place < len(tags):
        start, end, closes = tags[place]
        place += 1
        if closes:  # its opening was the template's, or stands in the thought before
            thought += [*said, text[at:start]]
            said, at = [], end
            continue
        said.append(text[at:start])
        ends = next((number for number in range(place, len(tags)) if tags[number][2]), None)
        if ends is None:
            thought.append(text[end:])
            return "".join(said), "\n".join(thought)
        thought.append(text[end : tags[ends][0]])
        at, place = tags[ends][1], ends + 1
    said.append(text[at:])
    return "".join(said), "\n".join(thought)


def _tags(text: str) -> list[tuple[int, int, bool]]:
    """(start, end, whether it closes) of the tags of thoughts, without those that are only talked about."""
    if _TAG.search(text) is None:
        return []
    inside = [*_json_spans(text), *(span.span() for span in _QUOTED_PAIR.finditer(text))]
    found: list[tuple[int, int, bool]] = []
    rare: set[str] = set()  # names that count because the text began with them
    for tag in _TAG.finditer(text):
        if _is_quoted(text, tag) or _is_inside(tag, inside):
            continue
        name = (tag["name"] or "").lower()
        if name and not _SPOKEN_AT_START.match(name) and name not in rare:
            if found or text[: tag.start()].strip():
                continue
            rare.add(name)
        closing = (
            tag["close"] or tag["close2"] or tag["close3"] or tag["close4"] or (tag["word"] or "").lower() == "end"
        )
        found.append((tag.start(), tag.end(), bool(closing)))
    return found


def _json_spans(text: str) -> list[tuple[int, int]]:
    """Where strict JSON objects stand in the text."""
    spans: list[tuple[int, int]] = []
    decode = json.JSONDecoder().raw_decode
    at = text.find("{")
    for _ in range(_MAX_STARTS):
        if at < 0:
            break
        try:
            _, end = decode(text, at)
            spans.append((at, end))
        except (ValueError, RecursionError):
            end = at + 1
        at = text.find("{", end)
    return spans


def _is_inside(found: re.Match[str], spans: list[tuple[int, int]]) -> bool:
    return any(start < found.start() < end for start, end in spans)


def _is_quoted(text: str, found: re.Match[str]) -> bool:
    """Whether a mark stands directly between quotes or backticks."""
    before, after = text[found.start() - 1 : found.start()], text[found.end() : found.end() + 1]
    if "```" in (text[max(0, found.start() - 3) : found.start()], text[found.end() : found.end() + 3]):
        return False  # a fence ends there, or begins
    return bool(before and after) and before in _QUOTES and after in _QUOTES
