"""Render a page with Chromium, as a PDF or as an image. The browser gets its own profile and no network.

The page is opened from a temporary folder under an address that makes its load event wait until all figures are drawn
(``paper.js``), so no drawing time has to be guessed for large reports.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from pathlib import Path
from uuid import uuid4

from zonesearch.core.outputs import check_place
from zonesearch.errors import StoreError

__all__ = ["find_browser", "photograph", "write_pdf"]

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge")
_FLAGS = (
    "--headless",
    "--no-sandbox",  # containers lack a sandbox; the page's own policy only runs our scripts
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--hide-scrollbars",
)
_PATIENCE_S = 300.0


def find_browser(purpose: str) -> str:
    """The path of Chromium; ``purpose`` is what needs it, for example ``a PDF``.

    Raises:
        StoreError: Chromium is not installed.
    """
    found = next((path for name in _BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        raise StoreError(f"{purpose} needs Chromium, and none is on the PATH: install chromium or Google Chrome")
    return found


def write_pdf(page: str, path: str | Path) -> Path:
    """Print ``page`` with all its figures to a PDF, atomically replacing an existing file; returns the path.

    Raises:
        StoreError: Chromium is missing or made no PDF, or the file cannot be written.
    """
    browser = find_browser("a PDF")
    with tempfile.TemporaryDirectory(prefix="zonesearch-") as scratch:
        made = Path(scratch) / "page.pdf"
        _open(browser, page, made, Path(scratch), "--no-pdf-header-footer", f"--print-to-pdf={made}")
        return _put(made, Path(path))


def photograph(page: str, path: str | Path, width: int = 1200, height: int = 500) -> Path:
    """Take a PNG screenshot of ``page`` in a window of the given size in pixels; returns the path.

    Raises:
        StoreError: Chromium is missing or made no image, or the file cannot be written.
    """
    browser = find_browser("a picture")
    with tempfile.TemporaryDirectory(prefix="zonesearch-") as scratch:
        made = Path(scratch) / "page.png"
        _open(browser, page, made, Path(scratch), f"--window-size={width},{height}", f"--screenshot={made}")
        return _put(made, Path(path))


def _open(browser: str, page: str, made: Path, scratch: Path, *flags: str) -> None:
    """Have ``browser`` create the file ``made`` from ``page``."""
    source = scratch / "page.html"
    address = f"{source.as_uri()}#when-printable"
    command = [browser, *_FLAGS, f"--user-data-dir={scratch / 'profile'}", *flags, address]
    try:
        source.write_text(page, encoding="utf-8")
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=_PATIENCE_S)
    except subprocess.TimeoutExpired:
        raise StoreError(f"{browser} made no {made.suffix[1:].upper()} within {_PATIENCE_S:.0f} s") from None
    except OSError as error:
        raise StoreError(f"{browser} cannot be used: {error.strerror}") from error
    if done.returncode or not made.exists() or not made.stat().st_size:
        last = (done.stderr.strip().splitlines() or ["it gave no message"])[-1]
        raise StoreError(f"{browser} made no {made.suffix[1:].upper()} (exit status {done.returncode}): {last}")


def _put(made: Path, path: Path) -> Path:
    """Move ``made`` to ``path`` atomically, even across file systems."""
    check_place(path)
    new = path.with_name(f".{path.name}.{uuid4().hex}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(made, new)
        new.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            new.unlink()
        raise StoreError(f"{path} cannot be written: {error.strerror}; name another file") from error
    return path
