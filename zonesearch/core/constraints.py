"""Constraints on combinations of values: ``width * depth <= 4096``.

The text is read by Python's own parser and evaluated by this module, so nothing is ever executed. It may contain
numbers, strings, axes by name, arithmetic, comparisons, ``and``, ``or``, ``not``, ``in`` and a few functions. A
constraint that names an axis which does not apply at a point has no effect there.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from zonesearch.core.values import ChosenFloat
from zonesearch.errors import SpaceError, did_you_mean

__all__ = ["Constraint"]

_LONGEST = 1000  # characters

_OPERATORS: Mapping[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: lambda a, b: float(a) ** float(b),  # with integers it might take forever
}
_COMPARISONS: Mapping[type[ast.AST], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: lambda a, b: _equal(a, b),
    ast.NotEq: lambda a, b: not _equal(a, b),
    ast.In: lambda a, b: _among(a, b),
    ast.NotIn: lambda a, b: not _among(a, b),
}
_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "abs": abs,
    "ceil": math.ceil,
    "exp": math.exp,
    "floor": math.floor,
    "len": len,
    "log": math.log,
    "log10": math.log10,
    "log2": math.log2,
    "max": max,
    "min": min,
    "round": round,
    "sqrt": math.sqrt,
    "sum": sum,
}


def _equal(a: Any, b: Any) -> bool:
    """Whether two values are the same choice: for Python ``True`` equals 1, but they are two choices."""
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(_equal, a, b))
    chosen = ChosenFloat in (type(a), type(b))  # 1.0 beside 1
    if isinstance(a, bool) != isinstance(b, bool) or (chosen and not (isinstance(a, float) and isinstance(b, float))):
        return False
    return bool(a == b)


def _among(a: Any, b: Any) -> bool:
    return any(_equal(a, item) for item in b) if isinstance(b, tuple) else a in b


class _AbsentError(Exception):
    """An axis does not apply here."""


@dataclass(frozen=True)
class Constraint:
    """One expression that is true at allowed points.

    Raises:
        SpaceError: the expression is invalid; says what is wrong with it.
    """

    expression: str

    def __post_init__(self) -> None:
        if not isinstance(self.expression, str) or not self.expression.strip():
            raise SpaceError(f'a constraint must be a string such as "width * depth <= 4096", not {self.expression!r}')
        if len(self.expression) > _LONGEST:
            raise SpaceError(f"a constraint has at most {_LONGEST:,} characters, not {len(self.expression):,}")
        try:
            self._check(self._tree)
        except RecursionError:
            raise self._refused("it is nested too deeply") from None
        if not isinstance(self._tree, ast.Compare | ast.BoolOp) and not (
            isinstance(self._tree, ast.UnaryOp) and isinstance(self._tree.op, ast.Not)
        ):
            raise self._refused('it compares nothing; write it as "width * depth <= 4096"')

    @cached_property
    def _tree(self) -> ast.expr:
        try:
            return ast.parse(self.expression.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise self._refused("it is not an expression") from None

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The axes in it, each once."""
        found: list[str] = []
        self._collect(self._tree, found)
        return tuple(dict.fromkeys(found))

    def check_names(self, names: Sequence[str]) -> None:
        """Check that every name in it is an axis.

        Raises:
            SpaceError: naming the first that is not.
        """
        for name in self.names:
            if name not in names:
                raise self._refused(f'"{name}" is not an axis of the space; {did_you_mean(name, names)}')

    def holds(self, params: Mapping[str, Any]) -> bool:
        """Whether ``params`` are allowed; true if an axis in it does not apply, and false if it has no value (a
        division by zero).

        Raises:
            SpaceError: it compares or adds incompatible values.
        """
        try:
            return bool(self._value(self._tree, params))
        except _AbsentError:
            return True
        except TypeError as error:
            raise self._refused(
                f"at {dict(params)} it compares or adds what does not go together ({error}); "
                "allow or exclude such values first, as \"x == 'a' or y > 1\""
            ) from None
        except (ArithmeticError, ValueError):
            return False

    def _refused(self, why: str) -> SpaceError:
        return SpaceError(f'constraint "{self.expression}": {why}')

    def _check(self, node: ast.AST) -> None:
        if isinstance(node, ast.Name | ast.Attribute):
            self._name(node)
            return
        if isinstance(node, ast.Constant):
            if not isinstance(node.value, bool | int | float | str | None):
                raise self._refused(f"{node.value!r} is neither a number nor a string")
            return
        if isinstance(node, ast.Call):
            known = isinstance(node.func, ast.Name) and node.func.id in _FUNCTIONS
            if not known or node.keywords:
                raise self._refused(f"it may call {', '.join(_FUNCTIONS)}, not {ast.unparse(node)}")
            for argument in node.args:
                self._check(argument)
            return
        allowed = (
            (isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS)
            or (isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub | ast.UAdd))
            or (isinstance(node, ast.Compare) and all(type(op) in _COMPARISONS for op in node.ops))
            or isinstance(node, ast.BoolOp | ast.List | ast.Tuple)
        )
        if not allowed:
            raise self._refused(f"{ast.unparse(node)} is not allowed in a constraint")
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self._check(child)

    def _name(self, node: ast.AST) -> str:
        """The name of an axis, including dots."""
        if isinstance(node, ast.Name):
            return node.id
        if isinstance(node, ast.Attribute):
            return f"{self._name(node.value)}.{node.attr}"
        raise self._refused(f"{ast.unparse(node)} is not allowed in a constraint")

    def _collect(self, node: ast.AST, found: list[str]) -> None:
        if isinstance(node, ast.Name | ast.Attribute):
            found.append(self._name(node))
            return
        for child in node.args if isinstance(node, ast.Call) else ast.iter_child_nodes(node):
            self._collect(child, found)

    def _value(self, node: ast.AST, params: Mapping[str, Any]) -> Any:
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name | ast.Attribute):
            name = self._name(node)
            if name not in params:
                raise _AbsentError
            return params[name]
        if isinstance(node, ast.BinOp):
            sides = self._value(node.left, params), self._value(node.right, params)
            if not all(isinstance(side, int | float) for side in sides):
                raise TypeError(f"{sides[0]!r} and {sides[1]!r} are not two numbers")
            return _OPERATORS[type(node.op)](*sides)
        if isinstance(node, ast.UnaryOp):
            value = self._value(node.operand, params)
            return not value if isinstance(node.op, ast.Not) else -value if isinstance(node.op, ast.USub) else +value
        if isinstance(node, ast.BoolOp):
            every = isinstance(node.op, ast.And)
            parts = (bool(self._value(part, params)) for part in node.values)
            return all(parts) if every else any(parts)
        if isinstance(node, ast.Compare):
            left = self._value(node.left, params)
            for op, right_node in zip(node.ops, node.comparators, strict=True):
                right = self._value(right_node, params)
                if not _COMPARISONS[type(op)](left, right):
                    return False
                left = right
            return True
        if isinstance(node, ast.List | ast.Tuple):
            return tuple(self._value(item, params) for item in node.elts)
        assert isinstance(node, ast.Call)
        assert isinstance(node.func, ast.Name)
        return _FUNCTIONS[node.func.id](*(self._value(argument, params) for argument in node.args))
