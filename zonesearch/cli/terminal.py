"""What is printed to a terminal, where words of others stand in it.

A study's name, a value or an error text may come from a stranger's run, and a terminal obeys what stands between
escape characters: it moves the cursor, renames the window, hides what was said before. So they are shown, not obeyed.
"""

from __future__ import annotations

from typing import Any, TextIO

__all__ = ["Visible", "one_line", "visible"]

_OBEYED = [*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
"""Control characters, and those that turn the direction of writing."""

_SHOWN = {code: (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}") for code in _OBEYED if chr(code) not in "\n\t"}


def visible(text: str) -> str:
    """``text`` with what a terminal would obey written out in hexadecimal; line breaks and tabs stay."""
    return text.translate(_SHOWN)


def one_line(text: str) -> str:
    """``text`` made :func:`visible`, on a single line.

    A line break, in a name from a stranger's run or in an error of a library, becomes a space.
    """
    return visible(" ".join(line.strip() for line in text.splitlines()))


class Visible:
    """A terminal to which everything is written :func:`visible`; all else is that of ``terminal``."""

    def __init__(self, terminal: TextIO) -> None:
        self._terminal = terminal

    def write(self, text: str) -> int:
        """Write ``text``; gives its length."""
        self._terminal.write(visible(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._terminal, name)
