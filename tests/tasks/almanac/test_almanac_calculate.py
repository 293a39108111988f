"""The calculator: arithmetic by hand, and programs that mean harm."""

import time

import pytest

from lts_jax.tasks.almanac.calculate import calculate


@pytest.mark.parametrize(
    ("code", "printed"),
    [
        ("print(1 + 2 * 3)", "7"),
        ("x = 7\nx -= 2\nprint(x // 2, x % 2, x ** 2, -x, x / 2)", "2 1 25 -5 2.5"),
        ("print(round(10 / 3, 2), round(2.6))", "3.33 3"),
        ("a = [3, 1, 2]\nprint(sum(a), min(a), max(a), len(a), sorted(a), a[0])", "6 1 3 3 [1, 2, 3] 3"),
        ("d = {'a': 1, 'b': (2, 3)}\nprint(d['b'][1], abs(-4))", "3 4"),
        ("print(1 < 2 < 3, 2 == 2.0, 'a' in 'cab', not 1)", "True True True False"),
        ("print('total', 12.5)\nprint(int('4') + float('0.5'))", "total 12.5\n4.5"),
        ("((3.4 - 1.0) ** 2 + 4) ** 0.5", ""),  # nothing is printed that was not asked for
    ],
)
def test_arithmetic(code: str, printed: str) -> None:
    assert calculate(code) == (printed, "")


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("import os", "SyntaxError"),
        ("__import__('os')", "NameError: name '__import__' is not defined"),
        ("().__class__", "SyntaxError"),
        ("open('/etc/passwd')", "NameError"),
        ("(lambda: 1)()", "SyntaxError"),
        ("while True: pass", "SyntaxError"),
        ("[x for x in [1]]", "SyntaxError"),
        ("9 ** 9 ** 9", "OverflowError"),
        ("2 ** -10000000", "OverflowError"),
        ("x = 10 ** 1000\n" + "x = x * x\n" * 100, "OverflowError"),
        ("[0] * 10 ** 9", "TypeError"),
        ("'%999999999d' % 1", "TypeError"),
        ("round(5, -10 ** 9)", "OverflowError"),
        ("x = 'a'\n" + "x = x + x\n" * 100, "MemoryError"),
        ("a = [1, 1]\n" + "a = [a, a, a, a, a, a, a, a]\n" * 60 + "print(a)", "MemoryError"),
        ("x = 'a'\n" + "x = x + x\n" * 11 + "print(x)\n" * 20, "MemoryError"),
        ("-" * 3_900 + "1", "RecursionError"),
        ("1 + " * 5_000 + "1", "MemoryError"),
        ("print(1", "SyntaxError"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("y + 1", "NameError: name 'y' is not defined"),
        ("print(1, sep='')", "SyntaxError"),
        ("\0", "SyntaxError"),
    ],
)
def test_hostile_or_wrong_programs_fail_in_bounded_time(code: str, error: str) -> None:
    started = time.process_time()
    _, message = calculate(code)
    assert time.process_time() - started < 20.0
    assert message.startswith("Traceback (most recent call last):\n")
    assert error in message


def test_what_was_printed_before_an_error_is_kept() -> None:
    printed, error = calculate("print(1)\nprint(1 / 0)\nprint(2)")
    assert printed == "1"
    assert error.endswith("ZeroDivisionError: division by zero")
