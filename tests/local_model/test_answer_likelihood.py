"""How probable a decoder finds an answer: against a loop that reads token by token, and blocks that are kept."""

import math

import numpy as np
import pytest

from lts_jax.bridge.answer_likelihood import AnswerScorer, Asked, with_shots
from lts_jax.bridge.answer_writing import AnswerWriter
from lts_jax.errors import UserError
from lts_jax.memory.pool import Pair
from lts_jax.models.decoding import empty_row, extend_rows, load_decoder
from lts_jax.models.likelihood import load_scorer, log_likelihoods

PAIR = Pair("how old?", "ten", "logic", 50.0, "x", 0.0)
SHOT = Pair("how far?", "two miles", "logic", 50.0, "x", 0.0)
ENDINGS = [([1, 7, 30], [5, 9]), ([4], [8, 2, 6, 11]), ([12] * 40, [3])]


def token_by_token(folder, before, end):
    """log p of the end by the other decoder of this house, which generates: one token at a time."""
    settings, _, _ = load_scorer(folder)
    weights, row = load_decoder(folder, settings), empty_row(settings, 64)
    logit_v = extend_rows(settings, weights, [row], [list(before)], 64 - len(end))[0]
    total = 0.0
    for token in end:
        logit_v = logit_v.astype(np.float64)
        total += logit_v[token] - logit_v.max() - math.log(np.exp(logit_v - logit_v.max()).sum())
        logit_v = extend_rows(settings, weights, [row], [[token]], 1)[0]
    return total


def test_one_batched_pass_is_token_by_token(tiny_folder):
    settings, weights, _ = load_scorer(tiny_folder)
    found = log_likelihoods(settings, weights, ENDINGS)
    np.testing.assert_allclose(found, [token_by_token(tiny_folder, *one) for one in ENDINGS[:2]] + found[2:], rtol=1e-4)
    again = log_likelihoods(settings, weights, ENDINGS[::-1])
    np.testing.assert_allclose(again[::-1], found, rtol=1e-5)  # in the order of the arguments
    with pytest.raises(ValueError, match="at least one token"):
        log_likelihoods(settings, weights, [([], [1])])
    assert log_likelihoods(settings, weights, []) == []


def test_a_finished_block_is_not_read_again(tiny_folder, tmp_path):
    asked = [with_shots(PAIR, []), with_shots(PAIR, [SHOT]), with_shots(PAIR, [])]
    first = AnswerScorer(tiny_folder, tmp_path)
    found = first.score(asked)
    assert found[0] == found[2] != found[1]
    assert found[0].num_tokens == found[1].num_tokens > 1
    assert found[0].bits_per_token == pytest.approx(-found[0].log_p / math.log(2) / found[0].num_tokens)
    assert first.num_read_tokens > 0 and len(list(tmp_path.glob("*.json"))) == 1
    second = AnswerScorer(tiny_folder, tmp_path)
    assert second.score(asked) == found
    assert second.num_read_tokens == 0
    assert first.score([Asked("how old?", "ten")]) != found[:1]
    assert len(list(tmp_path.glob("*.json"))) == 2


def test_a_folder_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(UserError, match="no such folder; `lts models get smollm2"):
        AnswerScorer(tmp_path / "none")


def test_written_answers_are_the_most_probable_tokens(tiny_folder, tmp_path):
    """Each token that was written is the one a loop over whole texts finds most probable; kept blocks are not written
    again."""
    prompts = ["Question: how old?\nAnswer:", "Question: how far is it to the mill?\nAnswer:"]
    writer = AnswerWriter(tiny_folder, tmp_path, max_tokens=6)
    answers = writer.write(prompts)
    assert AnswerWriter(tmp_path / "no model", tmp_path, max_tokens=6).write(prompts) == answers
    assert writer.write([]) == []
    settings, _, tokenizer = load_scorer(tiny_folder)
    weights = load_decoder(tiny_folder, settings)
    start = tokenizer.token_to_id("<|endoftext|>")
    for prompt, answer in zip(prompts, answers, strict=True):
        tokens, drawn = [start, *tokenizer.encode(prompt, add_special_tokens=False).ids], []
        for _ in range(6):
            logit_v = extend_rows(settings, weights, [empty_row(settings, 128)], [[*tokens, *drawn]], 128)[0]
            drawn.append(int(logit_v.argmax()))
            if drawn[-1] in (start, tokenizer.token_to_id("<|im_end|>")) or "\n" in tokenizer.decode(drawn).lstrip():
                break
        assert answer == tokenizer.decode(drawn).strip().split("\n")[0].strip()
