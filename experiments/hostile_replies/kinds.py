"""Replies made of parts: a thought with a draft that must not count, what is said, its dress, a defect, its wire.

Every combination is a kind of its own.
"""

import json

FIELDS = ("is_request_satisfied", "is_in_loop", "is_progress_being_made", "next_speaker", "instruction_or_question")


def ledger(is_satisfied):
    values = (is_satisfied, False, True, "WebSurfer", "Count the herons.")
    return json.dumps({name: {"reason": "so", "answer": value} for name, value in zip(FIELDS, values, strict=True)})


DRAFTS = {  # what a thought holds, by the purpose of the call
    "ledger": f"Perhaps it is done: {ledger(True)} or not?",
    "act": 'I could try {"tool": "web_search", "arguments": {"query": "WRONG"}} first.',
    "answer": "So FINAL ANSWER: 7\nbut that is wrong.",
    "judge": "NO would be rash.",
    "code": "```python\nprint('WRONG')\n```",
    "summarize": "WRONG words: they want a line about the step, let me count them, one two three four five six.",
}
SAID = {
    "ledger": ledger(False),
    "act": json.dumps({"tool": "visit_url", "arguments": {"url": "https://right.example"}}),
    "answer": "FINAL ANSWER: 1893",
    "judge": "YES",
    "code": "```python\nprint('right')\n```",
    "summarize": "Found the heron count of 1893 on the page of the northern pond for the last recorded spring.",
}
IN_FIELD = {"reasoning_content", "reasoning", "parts"}  # thoughts that stand beside the text
THOUGHTS = {
    "none": "{said}",
    "think": "<think>\n{draft}\n</think>\n\n{said}",
    "half open": "{draft}\n</think>\n\n{said}",
    "never closed": "<think>\n{draft}\n{said}",
    "never closed, late": "Well. <think>{draft}\n{said}",
    "twice": "<think>a</think><think>{draft}</think>{said}",
    "nested": "<think>a<think>{draft}</think>b</think>{said}",
    "capitals": "<Thinking >{draft}</Thinking >{said}",
    "attribute": '<thought kind="plan">{draft}</thought>{said}',
    "namespace": "<seed:think>{draft}</seed:think>{said}",
    "brackets": "[THINK]{draft}[/THINK]{said}",
    "arrows": "◁think▷{draft}◁/think▷{said}",
    "begin of thought": "<|begin_of_thought|>{draft}<|end_of_thought|><|begin_of_solution|>{said}<|end_of_solution|>",
    "start thinking": "<|START_THINKING|>{draft}<|END_THINKING|><|START_RESPONSE|>{said}<|END_RESPONSE|>",
    "reasoning tag": "<reasoning>{draft}</reasoning>{said}",
    "harmony": "<|channel|>analysis<|message|>{draft}<|end|>"
    "<|start|>assistant<|channel|>final<|message|>{said}<|return|>",
    "harmony, no end": "<|start|>assistant<|channel|>analysis<|message|>{draft}",
    "harmony, bare": "analysisWe see. {draft}assistantfinal{said}",
    "reasoning_content": "{said}",
    "reasoning": "{said}",
    "parts": "{said}",
}
UNSAID = {"never closed", "never closed, late", "harmony, no end"}  # nothing is said behind the draft
DRESSES = {
    "bare": "{}",
    "blank": "\n\n  {}\n",
    "im_end": "{}<|im_end|>",
    "next turn": "{}<|im_end|>\n<|im_start|>user\nThank you. FINAL ANSWER: 7<|im_end|>",
    "eos": "{}</s>",
    "turn": "<|im_start|>assistant\n{}<|eot_id|>",
    "answer tag": "<answer>{}</answer>",
}
DEFECTS = (
    "none", "cut in the text", "cut in the thought", "only the thought", "error beside", "finish_reason error",
    "key twice", "spliced",
)  # fmt: skip
WIRES = ("whole", "stream", "stream of parts")
MARKS = (
    "<think>", "</think>", "<|im_end|>", "<|channel|>", "<|message|>", "[/THINK]", "{", "}", '"', "```", "\\", "\ud83d",
)  # fmt: skip
PURPOSES = tuple(SAID)


def written(purpose, thought, dress, defect, draw):
    """(text, thought in a field or "", finish reason) that a model ends with; `draw(n)` draws below n."""
    said, draft = SAID[purpose], DRAFTS[purpose]
    finish = "stop"
    if defect == "key twice":
        first, rest = said.split(": ", 1) if purpose == "ledger" else ("", "")
        twice = f'{first}: {{"answer": false}}, "is_request_satisfied": {{"answer": true}}, {rest.split("}, ", 1)[-1]}'
        said = twice if purpose == "ledger" else said
    if defect == "cut in the text":
        said, finish = said[: max(1, len(said) // 2)], "length"
    if defect == "cut in the thought":
        template = THOUGHTS[thought].partition("{said}")[0].partition("{draft}")[0]
        is_beside = thought in IN_FIELD
        return ("" if is_beside else template + draft), (draft if is_beside else ""), "length"
    if defect == "only the thought":
        said = ""
    if defect == "spliced":
        for _ in range(1 + draw(3)):
            at = draw(len(said) + 1)
            said = said[:at] + MARKS[draw(len(MARKS))] + said[at:]
    text = THOUGHTS[thought].replace("{draft}", draft).replace("{said}", DRESSES[dress].replace("{}", said))
    return text, draft if thought in IN_FIELD else "", finish


def message(text, thought, beside, as_parts):
    """The message, or the piece of a stream, with its thought in the field that the kind names."""
    parts = [{"type": "text", "text": text}]
    if thought == "parts":
        parts = [{"type": "thinking", "thinking": [{"type": "text", "text": beside}]}, *parts]
    found = {"role": "assistant", "content": parts if as_parts or thought == "parts" else text}
    return found | ({thought: beside} if thought in IN_FIELD and thought != "parts" else {})


def body(purpose, thought, dress, defect, wire, draw):
    """The bytes of the response and whether they are a stream."""
    text, beside, finish = written(purpose, thought, dress, defect, draw)
    error = {"message": "upstream failed", "code": 502}
    finish = "error" if defect == "finish_reason error" else finish
    if wire == "whole":
        choice = {"index": 0, "message": message(text, thought, beside, False), "finish_reason": finish}
        return json.dumps(
            {"choices": [choice]} | ({"error": error} if defect == "error beside" else {})
        ).encode(), False
    size = 1 + draw(40)
    pieces = [text[at : at + size] for at in range(0, len(text), size)] or [""]
    chunks = []
    for number, piece in enumerate(pieces):
        delta = message(piece, thought, "" if number else beside, wire == "stream of parts")
        chunks.append({"choices": [{"index": 0, "delta": delta, "finish_reason": ("", None, "null")[draw(3)]}]})
    chunks += [{"error": error}] if defect == "error beside" else []
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    return b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n", True
