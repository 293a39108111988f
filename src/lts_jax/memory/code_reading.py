"""Reading the memory by a program: what a program asks for, and how it gets it.

A team whose listing stands in its ledger request reads values by letting its Coder write a program that calls
`get_shared_memory_value(NUMBER)`. The numbers must be written out: which values a program takes is read off its text,
so that every pull is logged and the sandbox needs no door to the bank.
"""

import re
from collections.abc import Mapping

FUNCTION = "get_shared_memory_value"
ABSENT = "There is no such value to read."

_CALL = re.compile(rf"\b{FUNCTION}\(\s*[\"']?(\d{{1,9}})[\"']?\s*\)")
_PRINTED = re.compile(rf"print\(\s*{_CALL.pattern}\s*\)")


def numbers_read(code: str) -> list[int]:
    """The entries that a program asks for, in order, without repeats."""
    return list(dict.fromkeys(int(number) for number in _CALL.findall(code)))


def with_values(code: str, values: Mapping[int, str]) -> str:
    """The program with each call replaced by its value as a Python text; without one, by `ABSENT`."""
    return _CALL.sub(lambda call: repr(values.get(int(call[1]), ABSENT)), code)


def printed_values(code: str, values: Mapping[int, str]) -> str | None:
    """What a program that does nothing but print values prints; None for any other program."""
    lines = [line.strip() for line in code.splitlines() if line.strip() and not line.strip().startswith("#")]
    asked = [_PRINTED.fullmatch(line) for line in lines]
    if not asked or not all(asked):
        return None
    return "\n".join(values.get(int(one[1]), ABSENT) for one in asked if one)
