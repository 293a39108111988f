"""Text that every encoder accepts."""


def replace_surrogates(text: str) -> str:
    """The text with each lone surrogate replaced by U+FFFD; anything else stays as it is.

    JSON may carry half of a surrogate pair as an escape; such text cannot be written as UTF-8, to a socket or a file.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
