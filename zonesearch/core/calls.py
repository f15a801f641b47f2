"""Specifications written as calls: ``split(8)``, ``step(every=7, factor=0.5)``.

Study files name methods and schedules this way. The text is read by Python's own parser, and only literals are allowed
as arguments, so nothing is ever executed.
"""

from __future__ import annotations

import ast
from dataclasses import fields
from typing import Any

__all__ = ["call_text", "parse_call"]


def parse_call(text: str) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
    """The name, positional and named arguments of ``text``; a bare name has none.

    Raises:
        ValueError: the text is neither a name nor a call of a name with literal arguments.

    >>> parse_call("step(every=7, factor=0.5)")
    ('step', (), {'every': 7, 'factor': 0.5})
    """
    try:
        node = ast.parse(text.strip(), mode="eval").body
        if isinstance(node, ast.Name):
            return node.id, (), {}
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            args = tuple(ast.literal_eval(argument) for argument in node.args)
            named = {word.arg: ast.literal_eval(word.value) for word in node.keywords if word.arg is not None}
            if len(named) == len(node.keywords):
                return node.func.id, args, named
    except (SyntaxError, ValueError):
        pass
    raise ValueError(f'"{text}" is neither a name nor a call such as name(argument=1)')


def call_text(name: str, settings: Any) -> str:
    """A dataclass instance as a call: ``split(parts=8)``."""
    named = ", ".join(f"{field.name}={getattr(settings, field.name)!r}" for field in fields(settings))
    return f"{name}({named})" if named else name
