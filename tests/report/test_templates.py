"""Templates: whatever a study calls things stays text, nothing is forgotten, and none is loaded before it is needed."""

from __future__ import annotations

import fnmatch
import subprocess
import sys
import tomllib
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import UndefinedError

import zonesearch
from zonesearch.report.markup import Picture, Section, Table
from zonesearch.report.templating import rendered

PACKAGE = Path(zonesearch.__file__).parent
TEMPLATES = sorted((PACKAGE / "report" / "templates").iterdir())
EVIL = ("<script>alert(1)</script>", "</title><img src=x onerror=alert(1)>", "' onload=alert(1) \"", "&lt;b&gt; &amp;")
labels = st.one_of(st.sampled_from(EVIL), st.text(max_size=40))


class Tags(HTMLParser):
    """The tags of a page with the names of their attributes, and the text between them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.values: list[str | None] = []
        self.said: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(name for name, _ in attrs)))
        self.values += [value for _, value in attrs]

    def handle_data(self, data: str) -> None:
        self.said.append(data)


def section(label: str) -> str:
    pictures = [Picture("one", None, label, label, {label: None, f"{label}2": None}, label)]  # type: ignore[dict-item]
    tables = [Table(label, pd.DataFrame({label: [label], "n": [0.1]}), label)]
    made = Section("key", label, label, pictures, tables, missing=label, controls=label, after=label)  # type: ignore[arg-type]
    return rendered("section.html", section=made)


@settings(max_examples=60, deadline=None)
@given(labels)
def test_a_label_changes_no_tag_and_is_read_as_it_is(label: str) -> None:
    plain, odd = Tags(section("a label")), Tags(section(label))
    if label:
        assert odd.tags == plain.tags
        assert label.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "") in "".join(odd.said).replace(
            "\r\n", "\n"
        ).replace("\r", "\n").replace("\0", "")
        assert label in odd.values


@settings(max_examples=30, deadline=None)
@given(labels)
def test_heads_take_names_as_text(label: str) -> None:
    heads = {
        "comparison_head.html": {"runs": [(label, label)]},
        "contest_head.html": {"problem": label, "sentence": label, "notes": [label]},
        "study_file.html": {"text": label},
        "map_controls.html": {"pairs": [label], "last": 3},
        "notebook.html": {"name": label, "sentence": label, "notes": [label], "columns": [label], "rows": [[label]]},
    }
    for name, values in heads.items():
        plain = {key: _with(value, label, "a label") for key, value in values.items()}
        assert Tags(rendered(name, **values)).tags == Tags(rendered(name, **plain)).tags


def _with(value: object, old: str, new: str) -> object:
    if isinstance(value, list | tuple):
        return type(value)(_with(v, old, new) for v in value)
    return new if value == old else value


def test_a_name_that_nobody_gives_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="'notes' is undefined"):
        rendered("contest_head.html", problem="p", sentence="s")


def test_no_template_lets_text_through_as_it_is() -> None:
    for path in TEMPLATES:
        assert not {"safe", "autoescape", "Markup"} & set(path.read_text().replace("|", " ").replace("(", " ").split())


def test_what_a_page_is_made_of_is_in_the_package() -> None:
    written = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    files = [p for p in (PACKAGE / "report").rglob("*") if p.is_file() and p.suffix not in (".py", ".pyc")]
    assert len(files) > len(TEMPLATES)
    for path in files:
        name = str(path.relative_to(PACKAGE))
        assert any(fnmatch.fnmatch(name, pattern) for pattern in written["zonesearch"]), name


def test_templates_are_not_loaded_before_a_report_is_made() -> None:
    text = """
import sys, zonesearch
from zonesearch.cli.main import parser
parser()
from zonesearch.report.summaries.state import state_sentence
sys.exit("jinja2" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
