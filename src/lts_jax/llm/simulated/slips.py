"""How values go wrong: spelling errors, neighbouring cells, skipped rows, inventions."""

import re
from functools import lru_cache

from lts_jax.llm.simulated.chances import Chances
from lts_jax.llm.simulated.understanding import items, join_items

_TOKEN = re.compile(r"\d[\d,.:]*\d|\d")


def mistype(query: str, chances: Chances) -> str:
    """The query with one word spoilt: two letters swapped and one doubled, so that a search does not know it."""
    words = query.split()
    place = max(range(len(words)), key=lambda i: (len(words[i]), -i)) if words else 0
    if not words or len(words[place]) < 3:
        return query + "x"
    word = words[place]
    at = 1 + chances.below(len(word) - 2)
    words[place] = word[:at] + word[at + 1] + word[at] + word[at] + word[at + 2 :]
    return " ".join(words)


def misread(value: str, page: str, chances: Chances) -> str:
    """The value as a careless reader takes it: another number of the same shape on the page, or one row too few."""
    parts = items(value)
    tokens = list(_TOKEN.finditer(value))
    if len(parts) > 1 and (not tokens or chances.happens(0.5)):
        skipped = chances.below(len(parts))
        return join_items(parts[:skipped] + parts[skipped + 1 :])
    if not tokens:
        return value
    token = tokens[chances.below(len(tokens))]
    shape = _shape(token[0])
    others = [each for each in _numbers_on(page) if each != token[0] and _shape(each) == shape]
    other = others[chances.below(len(others))] if others else invent(token[0], chances)
    return value[: token.start()] + other + value[token.end() :]


@lru_cache(maxsize=4096)
def _numbers_on(page: str) -> tuple[str, ...]:
    return tuple(_TOKEN.findall(page))


def invent(value: str, chances: Chances) -> str:
    """The value with its numbers made up: each is off by 8 to 40 per cent, clock times and years are left."""
    factor = (1.08 + 0.32 * chances.uniform()) if chances.happens(0.5) else (0.92 - 0.32 * chances.uniform())

    def off(token: re.Match[str]) -> str:
        text = token[0]
        plain = text.replace(",", "")
        if ":" in text or plain.count(".") > 1:
            return text
        digits = len(plain.partition(".")[2])
        return f"{max(1.0, float(plain)) * factor + 1:.{digits}f}"

    return _TOKEN.sub(off, value)


def far_off(number: str, chances: Chances) -> str:
    """A number after a slip in arithmetic: a factor forgotten or taken twice, or a digit too many or too few."""
    factor = (0.1, 0.4, 0.6, 1.7, 2.5, 10.0)[chances.below(6)]
    digits = len(number.partition(".")[2])
    return f"{float(number) * factor:.{digits}f}"


def _shape(token: str) -> tuple[str, int]:
    return "".join(each for each in token if not each.isdigit()), len(token) if ":" in token else 0
