"""The YES and NO of a tokenizer, found as single tokens or refused."""

import pytest

from lts_jax.errors import UserError
from lts_jax.models.tokens import answer_tokens, load_tokenizer

tokenizers = pytest.importorskip("tokenizers")


def byte_pair_tokenizer(merges):
    """As Qwen's: byte-level pairs. The letters N, O, Y, E, S are tokens 0 to 4; merged ones follow, in order."""
    words = [*"NOYES", *(first + second for first, second in merges)]
    vocabulary = {word: place for place, word in enumerate(words)}
    model = tokenizers.models.BPE(vocab=vocabulary, merges=merges)
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    return tokenizer


WHOLE = [("N", "O"), ("Y", "E"), ("YE", "S")]


def test_the_answers_are_found_in_the_order_of_the_actions(tmp_path):
    byte_pair_tokenizer(WHOLE).save(str(tmp_path / "tokenizer.json"))
    tokenizer = load_tokenizer(tmp_path)
    assert answer_tokens(tokenizer) == (5, 7)
    assert answer_tokens(tokenizer, ("YES", "YE")) == (7, 6)
    assert [tokenizer.decode([token]) for token in answer_tokens(tokenizer)] == ["NO", "YES"]


def test_padding_and_truncation_of_the_file_are_off(tmp_path):
    tokenizer = byte_pair_tokenizer(WHOLE)
    tokenizer.enable_truncation(2)
    tokenizer.enable_padding(length=8)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    assert load_tokenizer(tmp_path).encode("NOYESNO").ids == [5, 7, 5]


@pytest.mark.parametrize(
    ("merges", "answers", "message"),
    [
        (
            [("N", "O")],
            ("NO", "YES"),
            "where.json: expected 'YES' to be one token of its own, found the tokens 'Y', 'E', 'S'",
        ),
        (WHOLE, ("NO", "MAYBE"), "expected 'MAYBE' to be one token of its own"),
        (WHOLE, ("", "YES"), "expected '' to be one token of its own, found no token"),
        (WHOLE, ("NO", "NO"), "expected different tokens for 'NO' and 'NO', found 5 twice"),
    ],
)
def test_a_tokenizer_without_them_is_refused(merges, answers, message):
    with pytest.raises(UserError) as caught:
        answer_tokens(byte_pair_tokenizer(merges), answers, where="where.json")
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_an_unknown_word_is_no_answer():
    """A word-level tokenizer answers every word with one token; the unknown one is not YES."""
    model = tokenizers.models.WordLevel(vocab={"NO": 0, "[UNK]": 1}, unk_token="[UNK]")
    with pytest.raises(UserError, match=r"expected 'YES' to be one token of its own, found the tokens '\[UNK\]'"):
        answer_tokens(tokenizers.Tokenizer(model))


def test_missing_and_broken_files_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"tokenizer\.json: no such file"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match=r"tokenizer\.json: expected a tokenizer, found none"):
        load_tokenizer(tmp_path)
