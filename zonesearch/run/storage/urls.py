"""Addresses of storages in a form that is safe to show."""

from __future__ import annotations

__all__ = ["shown_url"]


def shown_url(url: str) -> str:
    """``url`` without its password."""
    scheme, mark, rest = url.partition("://")
    user, at, place = rest.rpartition("@")
    if not mark or not at:
        return url
    name, colon, _ = user.partition(":")
    return f"{scheme}://{name}{':***' if colon else ''}@{place}"
