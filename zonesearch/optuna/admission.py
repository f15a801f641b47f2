"""Access control for the dashboard.

Optuna's dashboard answers every request. On loopback, requests can come from every user of the machine and every web
page that its browser shows: a page can make its own name resolve to 127.0.0.1 (DNS rebinding) and then read the
responses, or send writes without reading them. Therefore, as in Jupyter:

- the ``Host`` header must name this server, by a loopback name or the given host, with its port
  (a rebound name does not);
- the printed address contains a token, which is kept in a cookie that scripts cannot read and that no other site
  can make the browser send (``HttpOnly``, ``SameSite=Strict``); without it every request is refused;
- writes are refused unless the user enabled them, and then must come from a page of this server (``Origin``,
  ``Sec-Fetch-Site``).
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

__all__ = ["Admission"]

App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_READS = ("GET", "HEAD")
_WRITES = ("POST", "PUT", "DELETE", "PATCH")
_HEADERS = (
    ("Referrer-Policy", "no-referrer"),  # query parameter that may hold the token
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "SAMEORIGIN"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)


@dataclass(frozen=True)
class Admission:
    """The access rules of one server.

    Args:
        host: the address it listens on; a wildcard address allows the names and addresses of this machine, and any
            numeric address, since those cannot be rebound.
        port: the port it listens on.
        writable: whether writes are allowed.
        token: the token that a client must present; by default a new one.
    """

    host: str
    port: int
    writable: bool = False
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)

    @property
    def address(self) -> str:
        """``http://HOST:PORT``, for a browser on this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(self.host, self.host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    def invitation(self, path: str) -> str:
        """The address of ``path``, including the token."""
        return f"{self.address}{path}?{urlencode({'token': self.token})}"

    def guard(self, app: App) -> App:
        """``app`` wrapped in these rules."""

        def guarded(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            status, reason = self.refusal(environ)
            if reason:
                return _answer(start_response, status, "text/plain", f"{status}: {reason}\n", environ)
            query = parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True)
            if not any(name == "token" for name, _ in query):
                return app(environ, _adding(start_response, _HEADERS))
            rest = urlencode([(name, value) for name, value in query if name != "token"])
            environ["QUERY_STRING"] = rest
            headers = (*_HEADERS, ("Set-Cookie", self._cookie()))
            if environ["REQUEST_METHOD"] == "GET" and environ.get("PATH_INFO", "").startswith("/dashboard"):
                # A page that forwards, instead of a redirect: a link followed from another site sends no
                # strict cookie to the target of a redirect, and the token should not remain in the address.
                onward = escape(environ["PATH_INFO"] + (f"?{rest}" if rest else ""), quote=True)
                page = f'<!doctype html><meta http-equiv="refresh" content="0; url={onward}"><title>Dashboard</title>\n'
                return _answer(start_response, "200 OK", "text/html", page, environ, headers)
            return app(environ, _adding(start_response, headers))

        return guarded

    def refusal(self, environ: Mapping[str, Any]) -> tuple[str, str]:
        """Status and message of a refusal; an empty message if the request is admitted."""
        forbidden = "403 Forbidden"
        if not self._is_our_name(str(environ.get("HTTP_HOST", ""))):
            return forbidden, f"this server must be addressed as {self.address}, not by another name (--host names one)"
        method = environ.get("REQUEST_METHOD", "")
        if method not in _READS + _WRITES:
            return "405 Method Not Allowed", f"{method} is not allowed"
        if not self._is_known(environ):
            return forbidden, "open the address that `zonesearch dashboard` printed: it ends with a token"
        if method in _READS:
            return "", ""
        if not self.writable:
            return forbidden, "this dashboard is read-only; `zonesearch dashboard RUN --writable` allows changes"
        if not self._is_own_page(environ):
            return forbidden, "a change must come from a page of this server"
        return "", ""

    def _is_our_name(self, host: str) -> bool:
        try:
            parts = urlsplit(f"//{host}")
            name, port = parts.hostname or "", parts.port
        except ValueError:
            return False
        if parts.netloc != host or parts.username is not None or (80 if port is None else port) != self.port:
            return False
        if not name:
            return False
        if name in _LOOPBACK or name == self.host.lower():
            return True
        return self.host in ("", "0.0.0.0", "::") and (_is_digits(name) or name in _own_names())

    def _is_known(self, environ: Mapping[str, Any]) -> bool:
        """Whether the address or the cookie contains the token."""
        given = [value for name, value in parse_qsl(environ.get("QUERY_STRING", "")) if name == "token"]
        for cookie in str(environ.get("HTTP_COOKIE", "")).split(";"):  # other cookies of this host may have any form
            name, _, value = cookie.strip().partition("=")
            if name == self._name:
                given.append(value)
        return any(hmac.compare_digest(value.encode(), self.token.encode()) for value in given)

    def _is_own_page(self, environ: Mapping[str, Any]) -> bool:
        """Whether a write comes from our own page; browsers send this information, other programs need only a token."""
        if environ.get("HTTP_SEC_FETCH_SITE", "same-origin") not in ("same-origin", "none"):
            return False
        origin = environ.get("HTTP_ORIGIN")
        if origin is None:
            return True
        scheme, mark, host = str(origin).partition("://")
        return scheme == "http" and bool(mark) and host == environ.get("HTTP_HOST")

    @property
    def _name(self) -> str:
        """The cookie's name, which includes the port because browsers share cookies between all ports of a host."""
        return f"zonesearch-{self.port}"

    def _cookie(self) -> str:
        return f"{self._name}={self.token}; Path=/; HttpOnly; SameSite=Strict"


def _is_digits(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _own_names() -> tuple[str, ...]:
    return tuple(name.lower() for name in (socket.gethostname(), socket.getfqdn()))


def _adding(start_response: Callable[..., Any], more: Iterable[tuple[str, str]]) -> Callable[..., Any]:
    """``start_response`` that adds ``more`` headers, unless the application already sets them."""

    def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
        named = {name.lower() for name, _ in headers}
        return start_response(status, [*headers, *(pair for pair in more if pair[0].lower() not in named)], *error)

    return start


def _answer(
    start_response: Callable[..., Any],
    status: str,
    kind: str,
    text: str,
    environ: Mapping[str, Any],
    headers: Iterable[tuple[str, str]] = _HEADERS,
) -> list[bytes]:
    body = text.encode()
    start_response(
        status,
        [
            ("Content-Type", f"{kind}; charset=utf-8"),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
            *headers,
        ],
    )
    return [] if environ.get("REQUEST_METHOD") == "HEAD" else [body]
