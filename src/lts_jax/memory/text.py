"""Cutting and folding of texts before they become a prompt or a key."""

_CUT_MARK = "\n[...]\n"


def one_line(text: str) -> str:
    """Fold line breaks into single spaces; a text of one line comes back stripped, otherwise as it is."""
    return " ".join(stripped for line in text.splitlines() if (stripped := line.strip()))


def first_words(text: str, num_words: int) -> str:
    """The first `num_words` words of a text, on one line, words parted by single spaces."""
    return " ".join(text.split(None, num_words)[:num_words])


def cut(text: str, max_characters: int) -> str:
    """Shorten a text to at most `max_characters`, keeping three quarters from its start and the rest from its end.

    The end is kept because the line that matters in a traceback is the last one. Texts that fit are returned as they
    are (the same object).
    """
    if len(text) <= max_characters:
        return text
    room = max_characters - len(_CUT_MARK)
    if room < 8:
        return text[:max_characters]
    tail = room // 4
    return text[: room - tail] + _CUT_MARK + text[len(text) - tail :]
