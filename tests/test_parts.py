"""The grammar of parts: what a text names, what its canonical form is, and which one line refuses it."""

from functools import partial
from pathlib import Path
from typing import Literal

import pytest

from lts_jax.errors import UserError
from lts_jax.parts import Part, change, function_part, load_function, resolve, settings_of, split_calls


def pay(trajectory: object, *, price: float = 0.1, mode: Literal["return", "none"] = "return", twice: bool = False):
    """Pays.

    Args:
        trajectory: of a group.
        price: asked for each admission,
            in units of reward.
        mode: what is paid.
    """
    return price, mode, twice


def store(*, folder: str, width: int | None = None, where: Path = Path("here")) -> tuple:
    """Stores."""
    return folder, width, where


KNOWN = {"pay": pay, "store": store}


def named(text: str) -> Part:
    """The part that a text names among ours."""
    return resolve(text, KNOWN, where="credit")


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("pay", "pay"),
        ("pay()", "pay"),
        (" pay( mode = return , price = .50 ) ", "pay(price=0.5, mode=return)"),
        ("pay(price=2)", "pay(price=2)"),
        ("pay(price=1e-7)", "pay(price=1e-07)"),
        ("pay(price=-0.25, twice=true)", "pay(price=-0.25, twice=true)"),
        ("store(folder=qwen3-tiny)", "store(folder=qwen3-tiny)"),
        ("store(folder='a b, (c)', width=none)", "store(folder='a b, (c)', width=none)"),
        ("store(folder=../x/y.z, width=8)", "store(folder=../x/y.z, width=8)"),
    ],
)
def test_a_text_has_one_canonical_form_which_names_the_same_part(text: str, canonical: str) -> None:
    part = named(text)
    assert part.text == canonical
    assert named(part.text) == part


def test_settings_arrive_with_their_types() -> None:
    assert named("pay(price=2, mode=none)")("ignored") == (2.0, "none", False)
    assert isinstance(named("pay(price=2)").settings["price"], float)
    assert named("store(folder=a, where=b)")() == ("a", None, Path("b"))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("payy", r"credit: expected a name, or FILE.py:FUNCTION; got 'payy' \(did you mean pay\?\)"),
        ("zzz", "credit: expected a name, or FILE.py:FUNCTION; got 'zzz'; there are pay, store"),
        ("pay(cost=1)", "credit: pay has no setting 'cost'; it takes price, mode, twice"),
        ("pay(trajectory=1)", "credit: pay has no setting 'trajectory'"),
        ("pay(price=much)", r"credit: pay\(price\): expected a number, got 'much'"),
        ("pay(price=true)", r"credit: pay\(price\): expected a number, got True"),
        ("pay(twice=1)", r"credit: pay\(twice\): expected true or false, got 1"),
        ("pay(mode=never)", r"credit: pay\(mode\): expected return or none, got 'never'"),
        ("store(folder=a, width=1.5)", r"credit: store\(width\): expected a whole number, got 1.5"),
        ("store", r"credit: store needs the setting folder, as store\(folder=...\)"),
        ("pay(price=1, price=2)", r"credit: expected pay\(key=value, ...\) with numbers, words, true or false"),
        ("pay(1)", r"credit: expected pay\(key=value"),
        ("pay(price=1e999)", r"credit: expected pay\(key=value"),
        ("pay(price=__import__('os').getcwd())", r"credit: expected pay\(key=value"),
        ("pay(price=[1])", r"credit: expected pay\(key=value"),
        ("pay(price=)", r"credit: expected pay\(key=value"),
        ("pay(", r"credit: expected name, name\(key=value, ...\) or FILE.py:FUNCTION"),
        ("", "credit: expected name"),
        ("pay; import os", "credit: expected name"),
        ("no/such/file.py:pay", "credit: no/such/file.py: no such file"),
        ("no_such_package.module:pay", "credit: no module 'no_such_package.module'"),
        ("math:cosinus", "credit: math has no function 'cosinus'; it has copysign, sin, cos"),
        ("math:pi", "credit: math:pi: expected a function, got a value of type float"),
    ],
)
def test_what_names_no_part_is_one_line(text: str, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint) as caught:
        named(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_long_wrong_text_is_cut() -> None:
    with pytest.raises(UserError) as caught:
        named("x" * 100_000)
    assert len(str(caught.value)) < 400


def test_a_function_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "my part (1).py"
    file.write_text("import beside\ndef mine(trajectory, *, price=0.1):\n    return beside.ONE + price\n")
    (tmp_path / "beside.py").write_text("ONE = 1\n")
    part = resolve(f"{file}:mine(price=2)", KNOWN, where="credit")
    assert part(None) == 3.0
    assert (part.name, part.text) == (f"{file}:mine", f"{file}:mine(price=2)")
    assert load_function(f"{file}:mine", where="credit") is part.function  # the same object, so programs are shared
    file.write_text("def mine(trajectory):\n    return 5\n")
    assert load_function(f"{file}:mine", where="credit")(None) == 5


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("1 / 0", "mine.py: importing it raises ZeroDivisionError: division by zero"),
        ("raise SystemExit(3)", "mine.py: importing it raises SystemExit: 3"),
        ("def (", "mine.py: importing it raises SyntaxError"),
        ("import no_such_package", "mine.py: importing it raises ModuleNotFoundError: No module named"),
        ("def paid(): ...", "mine.py has no function 'pay'; it has paid"),
        ("pay = 3", "mine.py:pay: expected a function, got a value of type int"),
        ("", "mine.py has no function 'pay'$"),
    ],
)
def test_a_file_that_does_not_serve_is_one_line(tmp_path: Path, source: str, complaint: str) -> None:
    file = tmp_path / "mine.py"
    file.write_text(source + "\n")
    with pytest.raises(UserError, match=complaint):
        load_function(f"{file}:pay", where="credit")


def test_settings_are_read_from_signature_and_docstring() -> None:
    price, mode, twice = settings_of(pay)
    assert (price.name, price.type, price.default) == ("price", float, 0.1)
    assert price.meaning == "asked for each admission, in units of reward."
    assert (mode.meaning, twice.meaning) == ("what is paid.", "")
    assert [one.name for one in settings_of(store, supplied=("folder",))] == ["width", "where"]


def test_a_function_is_a_part_under_its_name() -> None:
    part = function_part(partial(pay, price=0.5))
    assert (part.text, part.function) == (f"{__name__}:pay(price=0.5)", pay)
    assert part(None) == (0.5, "return", False)


def test_a_part_changes_its_settings() -> None:
    assert change(named("pay(twice=true)"), where="credit", price=3).text == "pay(price=3, twice=true)"


def test_lists_are_divided_at_commas_outside_of_calls() -> None:
    assert split_calls("a, b(x=1, y='p,q'), c.py:d") == ["a", "b(x=1, y='p,q')", "c.py:d"]
