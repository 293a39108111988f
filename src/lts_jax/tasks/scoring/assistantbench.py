"""The official score of AssistantBench: read both answers, choose a metric by the gold answer, never raise.

Source: Yoran et al. 2024, and the behaviour of the leaderboard's scorer, odd corners included (a comma is a decimal
point, a JSON list is wanted where gold has several lines, two different negative numbers score above 1).
"""

import json
import math
from typing import Any

from lts_jax.records import Outcome
from lts_jax.tasks.scoring.assistantbench_metrics import clean_number, number_score, records_score, text_score

_MAX_NESTING = 64  # NumPy's limit of dimensions, up to which the official scorer sees a NaN inside nested lists

_METRICS = {"number": number_score, "string": text_score, "string list": text_score, "json": records_score}


def score(prediction: Any, gold: Any, *, strict: bool = False) -> Outcome:
    """Score an answer by the official AssistantBench rules. Never raises.

    Args:
        prediction: the answer as text (JSON lists and objects are parsed), or an already parsed Python value.
        gold: the reference text, one answer per line, one JSON object per line; or a list of such lines.
        strict: give the raw official value, which exceeds 1 for some pairs of negative numbers and may be +inf.
    Returns:
        `score` in [0, 1] (raw if strict), and 0 where the official scorer raises, strict or not; `answered` false for
        an empty answer, NaN, or a list of only these; `detail` the metric, or the error of an unscorable pair.
    """
    try:
        value = _parse(prediction)
        gold_value, metric = _read_gold(gold)
        value, comparable = _read_prediction(value, gold_value, metric)
        answered = not _is_no_answer(value)
        raw = float(_METRICS[metric](value, gold_value)) if comparable else 0.0
    except Exception as error:
        return Outcome(0.0, _is_answered_at_all(prediction), f"unscorable: {type(error).__name__}")
    return Outcome(raw if strict else min(max(raw, 0.0), 1.0), answered, metric)


def _parse(prediction: Any) -> Any:
    try:
        return json.loads(prediction)
    except Exception:
        return prediction


def _read_gold(gold: Any) -> tuple[Any, str]:
    lines = gold if type(gold) is list else [line for line in gold.split("\n") if line.strip()]
    if len(lines) == 1:
        number, is_number = clean_number(lines[0], area_unit=True)
        if is_number:
            return number, "number"
    try:
        return [json.loads(_with_double_quotes(line)) for line in lines], "json"
    except Exception:
        return (lines[0], "string") if len(lines) == 1 else (lines, "string list")


def _with_double_quotes(line: Any) -> Any:
    """Repair the quotes of a Python-style dict where they open or close a key or a value."""
    try:
        for single, double in (("{'", '{"'), ("', '", '", "'), ("': '", '": "'), ("'}", '"}'), ("': ", '": ')):
            line = line.replace(single, double)
    except Exception:
        return line  # not a text: left as it is
    return line


def _read_prediction(value: Any, gold_value: Any, metric: str) -> tuple[Any, bool]:
    """The prediction as the metric takes it, and whether the metric is to be asked at all."""
    if type(value) is list and len(value) == 1 and _is_whole_number(value[0]):
        # The official scorer replaces such a list by the pair (number, flag), which no number metric accepts.
        value = clean_number(value[0], area_unit=True)
    if type(value) is not list:
        value, _ = clean_number(value, area_unit=True)
        if metric == "json":
            value = _json_lines(value)
    if hasattr(type(value), "__len__") and len(value) == 0:
        return value, False
    too_many = type(value) is list and len(value) > 1 and type(gold_value) is float
    return value, not too_many


def _is_whole_number(item: Any) -> bool:
    return type(item) is int or (type(item) is str and item.isnumeric())


def _json_lines(value: Any) -> list[Any]:
    try:
        return [json.loads(line) for line in value.split("\n")]
    except Exception:
        return [value]


def _is_no_answer(value: Any) -> bool:
    """Empty, NaN, or a list of only these. Raises TypeError for values without a length, as the official scorer."""
    if type(value) is list:
        return all(_is_blank(item) for item in value)
    return _is_blank(value)


def _is_blank(item: Any) -> bool:
    return (type(item) not in (float, int) and len(item) == 0) or _is_nan(item)


def _is_nan(value: Any) -> bool:
    """Whether NumPy finds one NaN in it: a NaN, or a NaN wrapped in lists of one item."""
    nesting = 0
    while isinstance(value, list | tuple) and len(value) == 1 and nesting < _MAX_NESTING:
        value, nesting = value[0], nesting + 1
    if isinstance(value, float):
        return math.isnan(value)
    if isinstance(value, str | int | bytes | dict | list | tuple | set | frozenset | None):
        return False
    import numpy as np

    try:
        return bool(np.isnan(value))
    except Exception:
        return False


def _is_answered_at_all(prediction: Any) -> bool:
    """The same flag for pairs that the official scorer cannot score: a value without a length is an answer."""
    if prediction is None:
        return False
    try:
        value, _ = clean_number(_parse(prediction), area_unit=True)
        items = value if type(value) is list else [value]
        return not all((hasattr(type(item), "__len__") and len(item) == 0) or _is_nan(item) for item in items)
    except Exception:
        return True
