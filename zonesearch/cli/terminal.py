"""Safe terminal output of untrusted text.

A study's name, a value or an error message may come from an untrusted run, and a terminal interprets
escape sequences: they move the cursor, rename the window or hide earlier output. So they are printed in escaped form.
"""

from __future__ import annotations

from typing import Any, TextIO

__all__ = ["Visible", "one_line", "visible"]

_OBEYED = [*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
"""Control characters, and those that change the text direction."""

_SHOWN = {code: (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}") for code in _OBEYED if chr(code) not in "\n\t"}


def visible(text: str) -> str:
    """``text`` with control characters written in hexadecimal; line breaks and tabs are kept."""
    return text.translate(_SHOWN)


def one_line(text: str) -> str:
    """``text`` made :func:`visible`, on a single line.

    A line break, in a name from an untrusted run or in a library's error message, becomes a space.
    """
    return visible(" ".join(line.strip() for line in text.splitlines()))


class Visible:
    """Wraps ``terminal`` so that everything written to it passes through :func:`visible`."""

    def __init__(self, terminal: TextIO) -> None:
        self._terminal = terminal

    def write(self, text: str) -> int:
        """Write ``text``; returns its length."""
        self._terminal.write(visible(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._terminal, name)
