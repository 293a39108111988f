"""A stand-in for a language model's likelihood: words counted in the prompt. No weights, the same bits everywhere.

p(w | v) = .6 n(v w) / n(v) + .3 n(w) / n + .1 / 10,000, over the words before w, the last of which is v. Where v was
not seen its .6 goes to n(w) / n, and where nothing was, all goes to the last term.
"""

import math
import re
from collections import Counter
from itertools import pairwise

PAIR_WEIGHT, WORD_WEIGHT, VOCABULARY = 0.6, 0.3, 10_000
_WORD = re.compile(r"\w+|[^\w\s]")


def words_of(text: str) -> list[str]:
    """Words in lower case, and marks, in order."""
    return _WORD.findall(text.lower())


def bits_per_word(prompt: str, answer: str) -> float:
    """Mean -log2 p of the answer's words after a prompt; the words of the answer count for those behind them.

    Raises:
        ValueError: an answer without a word.
    """
    told = words_of(prompt)
    words, firsts, pairs = Counter(told), Counter(told[:-1]), Counter(pairwise(told))
    before, bits, said = (told[-1] if told else ""), 0.0, words_of(answer)
    if not said:
        raise ValueError("bits_per_word: expected an answer with a word")
    total = len(told)
    for word in said:
        by_pair = pairs[before, word] / firsts[before] if firsts[before] else None
        by_word = words[word] / total if total else None
        bits -= math.log2(_mixed(by_pair, by_word))
        firsts[before] += bool(before)
        pairs[before, word] += bool(before)
        words[word] += 1
        before, total = word, total + 1
    return bits / len(said)


def _mixed(by_pair: float | None, by_word: float | None) -> float:
    rest = 1 - PAIR_WEIGHT - WORD_WEIGHT
    if by_word is None:
        return 1 / VOCABULARY
    if by_pair is None:
        return (PAIR_WEIGHT + WORD_WEIGHT) * by_word + rest / VOCABULARY
    return PAIR_WEIGHT * by_pair + WORD_WEIGHT * by_word + rest / VOCABULARY
