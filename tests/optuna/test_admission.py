"""Who the dashboard answers: its own address with the token, and nobody else; it changes only what it may."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.browser.chromium import chromium, opened
from tests.optuna.test_dashboard import accuracy, served
from zonesearch import Study, run_pipeline
from zonesearch.cli.main import parser
from zonesearch.optuna.admission import Admission

pytest.importorskip("optuna_dashboard", reason="needs zonesearch[dashboard]")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "small"
    space = {"width": [16, 32], "batch": [8]}
    run_pipeline(Study.of(space, accuracy, name="small", epochs=2, stages=("grid",)), into=folder)
    return folder


@pytest.fixture(scope="module")
def shown(run: Path) -> Iterator[str]:
    with served(run) as address:
        yield address


@pytest.fixture(scope="module")
def writable(run: Path) -> Iterator[str]:
    with served(run, writable=True) as address:
        yield address


def said(address: str, request: str) -> tuple[int, dict[str, str], str]:
    """Status, headers and body of the answer to ``request``, sent as it is, with HOST, TOKEN and COOKIE put in."""
    parts = urlsplit(address)
    token = parts.query.removeprefix("token=")
    request = request.replace("COOKIE", f"Cookie: theirs=a{{b; zonesearch-{parts.port}={token}")
    request = request.replace("HOST", parts.netloc).replace("TOKEN", token)
    head, _, body = request.partition("\n\n")
    head += f"\nContent-Length: {len(body)}\nContent-Type: application/json\nConnection: close"
    assert parts.hostname is not None
    assert parts.port is not None
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
        connection.sendall(f"{head}\n\n".replace("\n", "\r\n").encode() + body.encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    head, _, body = answer.partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    return int(first.split()[1]), dict(line.split(": ", 1) for line in lines), body


def studies(address: str) -> list[str]:
    status, _, body = said(address, "GET /api/studies?token=TOKEN HTTP/1.1\nHost: HOST")
    assert status == 200
    return [study["study_name"] for study in json.loads(body)["study_summaries"]]


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:{port}",
        "127.0.0.1",
        "127.0.0.1:1",
        "localhost.evil.example:{port}",
        "evil.example@127.0.0.1:{port}",
        "127.0.0.1:{port}@evil.example",
        "127.0.0.1:{port}, evil.example",
        "127.0.0.1:{port}/x",
        "[::2]:{port}",
        "0x7f000001:{port}",
        "",
        "[",
        "127.0.0.1:port",
    ],
)
def test_another_name_is_refused_whatever_it_knows(shown: str, host: str) -> None:
    host = host.format(port=urlsplit(shown).port)
    status, headers, body = said(shown, f"GET /api/studies?token=TOKEN HTTP/1.1\nHost: {host}\nCOOKIE")
    assert status == 403
    assert "is to be asked as http://127.0.0.1:" in body
    assert "Set-Cookie" not in headers
    assert "small" not in body


def test_a_request_without_a_name_or_with_two_is_refused(shown: str) -> None:
    assert said(shown, "GET /api/studies?token=TOKEN HTTP/1.0")[0] == 403
    assert said(shown, "GET /api/studies?token=TOKEN HTTP/1.1\nHost: HOST\nHost: evil.example")[0] == 403


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LocalHost", "[::1]"])
def test_names_of_loopback_are_answered(shown: str, name: str) -> None:
    host = f"{name}:{urlsplit(shown).port}"
    assert said(shown, f"GET /api/studies?token=TOKEN HTTP/1.1\nHost: {host}")[0] == 200


@pytest.mark.parametrize(
    "path", ["/", "/dashboard", "/dashboard/studies/0", "/api/studies", "/api/studies/0", "/csv/0", "/static/job.js"]
)
@pytest.mark.parametrize("known", ["", "?token=", "?token=wrong", "?tokens=TOKEN", "?token=wrong&token="])
def test_without_the_token_nothing_is_answered(shown: str, path: str, known: str) -> None:
    status, headers, body = said(shown, f"GET {path}{known} HTTP/1.1\nHost: HOST\nCookie: zonesearch-1=TOKEN")
    assert status == 403
    assert "open the address that `zonesearch dashboard` printed" in body
    assert "Set-Cookie" not in headers


def test_the_token_gives_a_cookie_that_only_this_site_sends(shown: str) -> None:
    status, headers, body = said(shown, "GET /dashboard/studies/0?token=TOKEN&tab=a%22b HTTP/1.1\nHost: HOST")
    assert status == 200
    assert headers["Set-Cookie"].endswith("; Path=/; HttpOnly; SameSite=Strict")
    assert 'content="0; url=/dashboard/studies/0?tab=a%22b"' in body
    assert urlsplit(shown).query not in body, "the address that follows has no token"
    assert headers["Referrer-Policy"] == "no-referrer"
    status, headers, _ = said(shown, "GET /dashboard/studies/0 HTTP/1.1\nHost: HOST\nCOOKIE")
    assert status == 200
    assert "Set-Cookie" not in headers
    assert "script-src" in headers["Content-Security-Policy"]
    assert said(shown, "HEAD /dashboard HTTP/1.1\nHost: HOST")[2] == ""
    status, _, body = said(shown, 'GET /dashboard/"><script>?token=TOKEN HTTP/1.1\nHost: HOST')
    assert "<script>" not in body


WRITES = (
    "DELETE /api/studies/{id} HTTP/1.1",
    "POST /api/studies HTTP/1.1",
    "POST /api/studies/{id}/rename HTTP/1.1",
    "PUT /api/studies/{id}/1/note HTTP/1.1",
    "PATCH /api/studies HTTP/1.1",
)


@pytest.mark.parametrize("write", WRITES)
def test_nothing_is_changed_unless_the_user_said_so(shown: str, write: str) -> None:
    number = urlsplit(shown).path.rpartition("/")[2]
    before = studies(shown)
    request = f"{write.format(id=number)}\nHost: HOST\nOrigin: http://HOST\nCOOKIE\n\n"
    status, _, body = said(shown, request + '{"study_name": "x", "directions": ["minimize"]}')
    assert status == 403
    assert "`zonesearch dashboard RUN --writable`" in body
    assert studies(shown) == before
    assert said(shown, "TRACE / HTTP/1.1\nHost: HOST\nCOOKIE")[0] == 405
    assert said(shown, "OPTIONS /api/studies HTTP/1.1\nHost: HOST\nOrigin: http://evil.example")[0] == 405


@pytest.mark.parametrize(
    "more",
    [
        "Origin: http://evil.example\nCOOKIE",
        "Origin: null\nCOOKIE",
        "Origin: https://HOST\nCOOKIE",
        "Origin: http://HOST.evil.example\nCOOKIE",
        "Origin: http://127.0.0.1:1\nCOOKIE",
        "Origin: http://HOST\nSec-Fetch-Site: cross-site\nCOOKIE",
        "Sec-Fetch-Site: same-site\nCOOKIE",
        "Origin: http://HOST",
        "",
    ],
)
def test_a_change_must_come_from_a_page_of_this_server(writable: str, more: str) -> None:
    before = studies(writable)
    request = f"POST /api/studies HTTP/1.1\nHost: HOST\n{more}".rstrip() + "\n\n"
    status, _, body = said(writable, request + '{"study_name": "forged", "directions": ["minimize"]}')
    assert status == 403, body
    assert studies(writable) == before


def test_a_page_of_this_server_may_change_what_the_user_allowed(writable: str) -> None:
    body = '{"study_name": "made", "directions": ["minimize"]}'
    for more, status in (("Origin: http://HOST\nSec-Fetch-Site: same-origin\n", 201), ("", 400)):
        request = f"POST /api/studies HTTP/1.1\nHost: HOST\n{more}COOKIE\n\n{body}"
        assert said(writable, request)[0] == status, "made once, then there"
    assert "made" in studies(writable)
    number = next(
        study["study_id"]
        for study in json.loads(said(writable, "GET /api/studies HTTP/1.1\nHost: HOST\nCOOKIE")[2])["study_summaries"]
        if study["study_name"] == "made"
    )
    assert said(writable, f"DELETE /api/studies/{number} HTTP/1.1\nHost: HOST\nCOOKIE\n\n{{}}")[0] == 204


def test_loopback_of_ipv6_is_served_too(run: Path) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with served(run, host="::1") as address:
        assert address.startswith("http://[::1]:")
        assert "small" in studies(address)
        assert said(address, "GET /api/studies?token=TOKEN HTTP/1.1\nHost: evil.example")[0] == 403


@pytest.mark.parametrize(
    ("host", "name", "allowed"),
    [
        ("0.0.0.0", "192.168.3.4", True),
        ("0.0.0.0", socket.gethostname(), True),
        ("::", "[fe80::1]", True),
        ("0.0.0.0", "evil.example", False),
        ("box.example", "box.example", True),
        ("box.example", "192.168.3.4", False),
        ("192.168.3.4", "192.168.3.5", False),
    ],
)
def test_a_host_that_the_user_names_is_answered_under_its_own_names(host: str, name: str, allowed: bool) -> None:
    rules = Admission(host, 8080, token="known")
    asked = {"HTTP_HOST": f"{name}:8080", "REQUEST_METHOD": "GET", "QUERY_STRING": "token=known"}
    assert (rules.refusal(asked) == ("", "")) == allowed


def test_tokens_are_new_each_time_and_not_shown_by_accident() -> None:
    one, other = Admission("127.0.0.1", 1), Admission("127.0.0.1", 1)
    assert one.token != other.token
    assert len(one.token) >= 32
    assert one.token not in repr(one)
    assert one.invitation("/dashboard") == f"http://127.0.0.1:1/dashboard?token={one.token}"
    assert parser().parse_args(["dashboard", "run"]).writable is False


class _Evil(BaseHTTPRequestHandler):
    """A page of another site that tries to read and to delete through the visitor's browser."""

    target = ""

    def do_GET(self) -> None:
        page = f"""<!doctype html><title>evil</title><body><script>
        const tries = [
          fetch("{self.target}/api/studies", {{credentials: "include"}}).then(r => r.text()),
          fetch("{self.target}/api/studies", {{method: "POST", credentials: "include",
              body: '{{"study_name": "forged", "directions": ["minimize"]}}',
              headers: {{"Content-Type": "text/plain"}}}}).then(r => r.text()),
          fetch("{self.target}/api/studies/0", {{method: "DELETE", credentials: "include"}}).then(r => r.text()),
        ];
        Promise.allSettled(tries).then(all => {{ document.title = all.map(one => one.status).join(" ") }});
        </script><form method="post" action="{self.target}/api/studies" enctype="text/plain">
        <input name='{{"study_name": "forged", "directions": ["minimize"], "x": "' value='"}}'></form>"""
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(page.encode())

    def log_message(self, *args: object) -> None:
        pass


@pytest.mark.browser
def test_a_page_of_another_site_can_neither_read_nor_write_through_the_browser(writable: str) -> None:
    """The visitor has the dashboard open in the same browser, with its cookie, and it may be written to."""
    parts = urlsplit(writable)
    before = studies(writable)
    _Evil.target = f"http://{parts.netloc}"
    with HTTPServer(("127.0.0.1", 0), _Evil) as evil, chromium() as browser:
        threading.Thread(target=evil.serve_forever, daemon=True).start()
        with opened(browser, writable, offline=False) as page:
            page.wait_for_selector("text=small", timeout=60_000)
            assert "token" not in page.url
            page.reload()
            page.wait_for_selector("text=small", timeout=60_000)
            other = page.context.new_page()
            other.goto(f"http://localhost:{evil.server_port}/")
            other.wait_for_function("document.title != 'evil'", timeout=30_000)
            assert other.title() == "rejected rejected rejected"
            other.evaluate("document.forms[0].submit()")
            other.wait_for_selector("text=403", timeout=30_000)
        evil.shutdown()
    assert studies(writable) == before


@pytest.mark.browser
def test_a_name_that_was_rebound_is_refused_by_a_real_browser(shown: str) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    import shutil

    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("needs a Chromium: apt-get install chromium")
    port = urlsplit(shown).port
    with playwright.sync_playwright() as run:
        browser = run.chromium.launch(
            executable_path=found, args=["--no-sandbox", "--host-resolver-rules=MAP evil.example 127.0.0.1"]
        )
        page = browser.new_page()
        answer = page.goto(f"http://evil.example:{port}/dashboard")
        assert answer is not None
        assert answer.status == 403
        assert "is to be asked as http://127.0.0.1" in page.inner_text("body")
        browser.close()
