"""The pool of pairs: append-only, durable, bare questions; and which pairs enter it."""

import asyncio
import json
import math
import re

import pytest

from lts_jax.errors import UserError
from lts_jax.memory.pool import Pair, append_pairs, of_domain, prompt_with, read_pool, told_cut
from lts_jax.memory.pool_admission import RUBRICS, Gate, judge, parse_score, rubric_prompt
from lts_jax.records import ModelCall
from lts_jax.tasks.word_search import best, index_words

ONE = Pair("What am I?", "A mill.", "logic", 80.0, "edda", 1.0)
TWO = Pair("A haiku, please", "spring, late sun", "verse", 55.5, "bram", 2.0)


def test_a_pool_outlives_who_wrote_it_and_holds_a_pair_once(tmp_path):
    path = tmp_path / "pools" / "pool.jsonl"
    assert read_pool(path).pairs == ()
    assert append_pairs(path, [ONE]) == 1
    assert append_pairs(path, [ONE, TWO, TWO]) == 1
    assert read_pool(path).pairs == (ONE, TWO)
    assert append_pairs(path, [TWO]) == 0
    assert of_domain(read_pool(path).pairs, "verse") == [TWO]
    assert of_domain(read_pool(path).pairs, None) == [ONE, TWO]


def test_half_a_last_line_is_cut_and_said(tmp_path):
    path = tmp_path / "pool.jsonl"
    append_pairs(path, [ONE, TWO])
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    read = read_pool(path)
    assert read.pairs == (ONE,)
    assert re.search(r"half a last line \(\d+ bytes\) was cut; 1 whole pairs", told_cut(path, read))
    append_pairs(path, [TWO])
    assert path.read_bytes() == whole
    assert told_cut(path, read_pool(path)) == ""


def test_a_kill_in_the_very_first_line_leaves_an_empty_pool(tmp_path):
    path = tmp_path / "pool.jsonl"
    path.write_bytes(b'{"pool_sch')
    assert read_pool(path).pairs == ()
    append_pairs(path, [ONE])
    assert read_pool(path).pairs == (ONE,)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('{"pool_schema": 2}\n', "pool of schema 2, this program reads 1"),
        ('{"question": "x"}\n', "no pool of pairs"),
        ("a list of things\n", "line 1: not JSON"),
        ('{"pool_schema": 1}\n{"question": "x"}\n', "line 2"),
        (
            '{"pool_schema": 1}\n'
            + json.dumps({"question": " ", "answer": "a", "domain": "d", "score": 1, "author": "", "time": 0})
            + "\n",
            "a blank one",
        ),
    ],
)
def test_another_file_is_one_clear_line(tmp_path, content, told):
    path = tmp_path / "pool.jsonl"
    path.write_text(content)
    with pytest.raises(UserError, match=re.escape(told)) as raised:
        read_pool(path)
    assert "\n" not in str(raised.value)
    with pytest.raises(UserError):
        append_pairs(path, [ONE])
    assert path.read_text() == content


def test_a_score_outside_its_range_is_no_pair():
    with pytest.raises(UserError, match="score"):
        Pair("q", "a", "d", 101.0, "x", 0.0)


def test_entries_do_not_nest_over_five_generations(tmp_path):
    """What the release stores: the prompt with its shots, which the next generation's prompt holds again."""
    path = tmp_path / "pool.jsonl"
    append_pairs(path, [Pair("question 0", "answer 0", "logic", 90.0, "start", 0.0)])
    lengths, nested = [], ["question 0"]
    for generation in range(1, 6):
        shots = read_pool(path).pairs[-2:]
        question = f"question {generation}"
        prompt = prompt_with(shots, question)
        assert prompt.count("Question:") == len(shots) + 1
        nested.append(prompt_with([Pair(nested[-1], "a", "logic", 90.0, "x", 0.0)], question))
        append_pairs(path, [Pair(question, f"answer {generation}", "logic", 90.0, "team", float(generation))])
        lengths.append(len(prompt))
    stored = [pair.question for pair in read_pool(path).pairs]
    assert stored == [f"question {generation}" for generation in range(6)]
    assert lengths[1:] == [lengths[1]] * 4  # two shots each: prompts stay as long as they are
    assert len(nested[-1]) > 5 * len(stored[-1])  # as released they would not


def test_the_best_shot_stands_next_to_the_question():
    assert prompt_with([ONE, TWO], "Q?") == (
        "Question: A haiku, please\nAnswer: spring, late sun\n\nQuestion: What am I?\nAnswer: A mill.\n\n"
        "Question: Q?\nAnswer:"
    )


REPLIES = [
    ("80", 80.0), ("0", 0.0), ("100", 100.0), (" 73\n", 73.0), ("66.5", 66.5), ("90.", 90.0), ("007", 7.0),
    ("eighty", None), ("101", None), ("-1", None), ("", None), ("80/100", None), ("80%", None), ("Score: 80", None),
    ("80 points", None), ("8 0", None), ("+80", None), ("1e2", None), ("NaN", None), ("٨٠", None), ("100.5", None),
]  # fmt: skip


@pytest.mark.parametrize(("reply", "score"), REPLIES, ids=[repr(reply) for reply, _ in REPLIES])
def test_only_a_bare_number_is_a_score(reply, score):
    assert parse_score(reply) == score


def test_what_does_not_pass_is_counted():
    gate = Gate()
    assert [gate.score(reply) for reply in ("80", "50", "49.9", "eighty", "101", "-1")] == [
        80,
        50,
        None,
        None,
        None,
        None,
    ]
    assert (gate.num_passed, gate.num_low, gate.num_unreadable) == (2, 1, 3)


def test_tau_0_adds_all_and_101_none():
    everything, nothing = Gate(0.0), Gate(101.0)
    replies = [reply for reply, _ in REPLIES]
    assert all(everything.score(reply) is not None for reply in replies)
    assert all(nothing.score(reply) is None for reply in replies)
    for tau in (-1.0, 102.0):
        with pytest.raises(UserError, match="tau"):
            Gate(tau)


def test_a_rubric_of_its_own_for_each_domain():
    asked = {domain: rubric_prompt(domain, "Q", "A") for domain in ("verse", "logic", "plans", "cooking")}
    assert len(set(asked.values())) == len(RUBRICS) == 4
    assert all("Question: Q\nAnswer: A" in prompt and "from 0 to 100" in prompt for prompt in asked.values())
    assert RUBRICS["general"] in asked["cooking"]


def test_bm25_by_hand():
    """Lucene's: idf ln(1 + (N - n + .5) / (n + .5)), tf / (tf + k1 (1 - b + b length / mean)); k1 1.5, b .75."""
    documents = [["mill", "mill", "river"], ["river"], ["clock", "tower"]]
    index = index_words(documents)
    idf = math.log(1 + (3 - 1 + 0.5) / (1 + 0.5))
    weight = idf * 2 / (2 + 1.5 * (1 - 0.75 + 0.75 * 3 / 2))
    places, weights = index.postings["mill"]
    assert places.tolist() == [0]
    assert weights[0] == pytest.approx(weight, rel=1e-6)
    assert best(index, ["river"], 2) == [1, 0]  # the shorter document first


def test_a_model_is_asked_by_the_rubric_and_only_where_its_reply_matters():
    asked = []

    def model(reply, error=""):
        async def ask(purpose, messages):
            asked.append((purpose, messages[0].content))
            return ModelCall(purpose, reply, 1, 1, error=error)

        return ask

    gate = Gate()
    scores = [
        asyncio.run(judge(gate, model(reply, error), "verse", "Q", "A"))
        for reply, error in (("80", ""), ("eighty", ""), ("80", "no reply within 5 s"), ("12", ""))
    ]
    assert scores == [80.0, None, None, None]
    assert (gate.num_passed, gate.num_unreadable, gate.num_low) == (1, 2, 1)
    assert asked == [("judge", rubric_prompt("verse", "Q", "A"))] * 4
    assert asyncio.run(judge(Gate(0.0), model("80"), "verse", "Q", "A")) == 0.0
    assert asyncio.run(judge(Gate(101.0), model("100"), "verse", "Q", "A")) is None
    assert len(asked) == 4
