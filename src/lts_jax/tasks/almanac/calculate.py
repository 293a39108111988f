"""A calculator that reads a small part of Python: numbers, names, lists, comparisons, a few functions, print.

It walks the syntax tree and does nothing else: no attributes, imports, loops or definitions. Every run is bounded in
steps, in the size of numbers and in the length of what it prints.
"""

import ast
import operator
from collections.abc import Callable
from typing import Any

MAX_CODE_CHARACTERS = 4_000
MAX_STEPS = 5_000
MAX_BITS = 4_096  # of an integer
MAX_WEIGHT = 4_000  # characters of a text, elements of a nested list
MAX_PRINTED = 10_000  # characters
_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
    ast.Not: operator.not_,
}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda left, right: left in right,
    ast.NotIn: lambda left, right: left not in right,
}


def _round(value: Any, digits: int | None = None) -> Any:
    if digits is not None and abs(digits) > 100:
        raise OverflowError("round() takes at most 100 digits")
    return round(value, digits)


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "sum": sum,
    "min": min,
    "max": max,
    "round": _round,
    "abs": abs,
    "len": len,
    "sorted": sorted,
    "int": int,
    "float": float,
    "str": str,
}


def calculate(code: str) -> tuple[str, str]:
    """Run a program; return what it printed and its error ("" on success), which reads like a Python traceback."""
    state = _Run()
    try:
        if len(code) > MAX_CODE_CHARACTERS:
            raise MemoryError(f"the program has more than {MAX_CODE_CHARACTERS} characters")
        for statement in ast.parse(code).body:
            state.execute(statement)
    except Exception as error:  # the program is the caller's: whatever it does wrong is its result
        text = f"Traceback (most recent call last):\n{type(error).__name__}: {error}"
        return "\n".join(state.printed), text
    return "\n".join(state.printed), ""


class _Run:
    """Names, printed lines and the steps taken so far of one program."""

    def __init__(self) -> None:
        self.names: dict[str, Any] = {}
        self.printed: list[str] = []
        self.num_steps = 0

    def execute(self, statement: ast.stmt) -> None:
        """One assignment or expression."""
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                self.names[name] = self.value_of(value)
            case ast.AugAssign(target=ast.Name(id=name), op=op, value=value):
                self.names[name] = self.binary(op, self.name(name), self.value_of(value))
            case ast.Expr(value=ast.Call(func=ast.Name(id="print"), args=args, keywords=[])):
                self.printed.append(" ".join(_text(self.value_of(arg)) for arg in args))
                if sum(map(len, self.printed)) > MAX_PRINTED:
                    raise MemoryError("the program prints too much")
            case ast.Expr(value=value):
                self.value_of(value)
            case _:
                raise SyntaxError(f"{type(statement).__name__} is not supported by this calculator")

    def name(self, name: str) -> Any:
        """The value assigned to a name earlier."""
        if name not in self.names:
            raise NameError(f"name {name!r} is not defined")
        return self.names[name]

    def binary(self, op: ast.operator, left: Any, right: Any) -> Any:
        """An arithmetic operation whose result stays small."""
        if type(op) not in _BINARY:
            raise SyntaxError(f"{type(op).__name__} is not supported by this calculator")
        _check_size(op, left, right)
        return _check_bounds(_BINARY[type(op)](left, right))

    def value_of(self, node: ast.expr) -> Any:
        """The value of an expression."""
        self.num_steps += 1
        if self.num_steps > MAX_STEPS:
            raise TimeoutError("the program takes too many steps")
        match node:
            case ast.Constant(value=int() | float() | str() | None as value):
                return _check_bounds(value)
            case ast.Name(id=name):
                return self.name(name)
            case ast.BinOp(left=left, op=op, right=right):
                return self.binary(op, self.value_of(left), self.value_of(right))
            case ast.UnaryOp(op=op, operand=operand) if type(op) in _UNARY:
                return _UNARY[type(op)](self.value_of(operand))
            case ast.Compare(left=left, ops=ops, comparators=comparators) if all(type(op) in _COMPARE for op in ops):
                values = [self.value_of(each) for each in (left, *comparators)]
                return all(_COMPARE[type(op)](a, b) for op, a, b in zip(ops, values, values[1:], strict=False))
            case ast.List(elts=elements):
                return _check_bounds([self.value_of(each) for each in elements])
            case ast.Tuple(elts=elements):
                return _check_bounds(tuple(self.value_of(each) for each in elements))
            case ast.Dict(keys=keys, values=values) if None not in keys:
                return _check_bounds(
                    {self.value_of(k): self.value_of(v) for k, v in zip(keys, values, strict=True) if k}
                )
            case ast.Subscript(value=value, slice=index) if not isinstance(index, ast.Slice):
                return self.value_of(value)[self.value_of(index)]
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _FUNCTIONS:
                return _check_bounds(_FUNCTIONS[name](*(self.value_of(arg) for arg in args)))
            case ast.Call(func=ast.Name(id=name), keywords=keywords):
                if keywords or name in _FUNCTIONS or name == "print":
                    raise SyntaxError(f"{name}() is not supported by this calculator in this form")
                raise NameError(f"name {name!r} is not defined")
        raise SyntaxError(f"{type(node).__name__} is not supported by this calculator")


def _text(value: Any) -> str:
    text = str(value)
    if len(text) > MAX_PRINTED:
        raise MemoryError("the program prints too much")
    return text


def _check_size(op: ast.operator, left: Any, right: Any) -> None:
    """Refuse an operation before it is done if it is not on numbers, or if its result would be huge."""
    if isinstance(op, ast.Add):
        return
    if not (isinstance(left, int | float) and isinstance(right, int | float)):
        raise TypeError(f"unsupported operand types: {type(left).__name__!r} and {type(right).__name__!r}")
    if not isinstance(op, ast.Pow) or not isinstance(right, int):
        return
    if abs(right) > MAX_BITS or (isinstance(left, int) and left.bit_length() * right > MAX_BITS):
        raise OverflowError("the result is too large")


def _check_bounds(value: Any) -> Any:
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise OverflowError("the number is too large")
    if _weight(value, MAX_WEIGHT) > MAX_WEIGHT:
        raise MemoryError("the list or text is too long")
    return value


def _weight(value: Any, limit: int) -> int:
    """Elements of a nested container, or characters of a text, shared ones counted each time; stops above `limit`."""
    if isinstance(value, str):
        return 1 + len(value)
    if not isinstance(value, list | tuple | dict):
        return 1
    total = 1
    for element in value.items() if isinstance(value, dict) else value:
        total += _weight(element, limit - total)
        if total > limit:
            break
    return total
