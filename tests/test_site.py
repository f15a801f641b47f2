"""The documents as a whole: links lead somewhere, Python compiles or runs, commands parse, the site has every name."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import tomllib
import warnings
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

import zonesearch
from zonesearch.cli.main import COMMANDS, main, parser

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")),
        *ROOT.glob("docs/**/*.md"),
        ROOT / "examples" / "README.md",
    ]
)
NUMBERS = {"N": "2", "M": "2", "SECONDS": "2", "RATE": "0.1", "PORT": "8080", "I/N": "1/2"}
"""What stands in documents for a number."""


def called(page: Path) -> str:
    return str(page.relative_to(ROOT))


def without_code(text: str) -> str:
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]*`", lambda code: "" if "](" in code[0] else code[0], text)


def anchors(page: Path) -> set[str]:
    """The anchors of the headings, as the usual renderers make them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S), flags=re.M)
    return {re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", heading.lower()).strip()) for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=called)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        assert file.is_relative_to(ROOT), target
        if anchor:
            assert anchor in anchors(file), target


def blocks(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", page.read_text(), flags=re.MULTILINE | re.DOTALL)


BLOCKS = [(page, i) for page in PAGES for i in range(len(blocks(page)))]


def names_for(block: str) -> dict[str, Any]:
    """What a block speaks of without making it, small enough to run quickly."""
    from sklearn.datasets import load_iris
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    X, y = load_iris(return_X_y=True)

    def train_my_network(width: float, batch: float, seed: int, epochs: int) -> float:
        return 0.9 - 0.01 * abs(width - 512) / 512 - 0.001 * batch / 64 + 0.0001 * seed

    return {
        "train_my_network": train_my_network,
        "zonesearch": zonesearch,
        "X": X[::3],
        "y": y[::3],
        "make_pipeline": make_pipeline,
        "StandardScaler": StandardScaler,
        "SVC": SVC,
    }


NOT_RUN = (
    "lightning",
    "trainer.hyperparameter_search",
    "study.optimize",
    "import torch",
    "# my_",
    "runs/digits",
    "digits.pt",
)
"""What marks a block that needs more than this: a framework, files beside it (run elsewhere), a study of the user's."""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("page", "i"), BLOCKS, ids=lambda value: called(value) if isinstance(value, Path) else str(value)
)
def test_every_block_of_python_compiles_and_runs(
    page: Path, i: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    block = blocks(page)[i]
    code = compile(block, f"{called(page)}, block {i + 1}", "exec", dont_inherit=True)
    if any(word in block for word in NOT_RUN):
        return
    monkeypatch.chdir(tmp_path)
    exec(code, {"__name__": "document", **names_for(block)})


def test_most_blocks_of_python_are_run() -> None:
    run = [(page, i) for page, i in BLOCKS if not any(word in blocks(page)[i] for word in NOT_RUN)]
    assert {called(page) for page, _ in run} >= {"README.md", "docs/plug-ins.md", "docs/integrations.md"}


def lines(page: Path) -> list[str]:
    """Every command line of zonesearch in a page: in code spans, in blocks, after a prompt."""
    text = page.read_text().replace("\\\n", " ")
    spans = re.findall(r"`(zonesearch [^`\n]+)`", text)
    return [*spans, *(line.strip() for line in re.findall(r"^(?:    |\$ )? *(zonesearch [^\n]+)$", text, flags=re.M))]


def readings(line: str) -> Iterator[list[str]]:
    """The ways to read a line of a document: optional parts given, each alternative, numbers for letters."""
    line = re.sub(r"\s+#.*", "", line).replace("\\|", "|").replace("...", "")
    parts = re.split(r"\(([^()]*\|[^()]*)\)", line)
    choices = [part.split(" | ") if i % 2 else [part] for i, part in enumerate(parts)]
    for chosen in product(*choices):
        words = shlex.split(re.sub(r"[\[\]](?![\w'])|(?<=\s)\[", " ", "".join(chosen)))[1:]
        yield [NUMBERS.get(word, word).partition("|")[0] for word in words]


@pytest.fixture(scope="module")
def command_line() -> Any:
    return parser("status")


@pytest.mark.parametrize("page", PAGES, ids=called)
def test_every_command_line_parses(page: Path, command_line: Any) -> None:
    for line in lines(page):
        for words in readings(line):
            assert words[0] in (*COMMANDS, "mine", "--version", "--help"), line
            if len(words) == 1 or words[0] not in COMMANDS:
                continue  # a command is spoken of
            said = io.StringIO()
            try:
                with contextlib.redirect_stderr(said):
                    command_line.parse_args(words)
            except SystemExit:
                pytest.fail(f"{called(page)}: {line}: {said.getvalue().splitlines()[-1]}")


def test_command_lines_are_found_in_documents() -> None:
    assert sum(len(lines(page)) for page in PAGES) > 40


def test_reference_has_every_public_name() -> None:
    text = "".join(page.read_text() for page in (ROOT / "docs" / "reference").glob("*.md"))
    found = set(re.findall(r"^::: zonesearch\.(\w+)$", text, flags=re.MULTILINE))
    errors = {name for name in zonesearch.__all__ if name.endswith("Error")}
    assert found - {"errors"} == set(zonesearch.__all__) - errors
    assert errors <= set(zonesearch.errors.__all__)


def test_every_page_stands_in_the_navigation() -> None:
    def places(entry: Any) -> Iterator[str]:
        for inner in entry.values() if isinstance(entry, dict) else entry if isinstance(entry, list) else ():
            yield from places(inner)
        if isinstance(entry, str):
            yield entry

    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    shown = set(places(config["nav"]))
    pages = {str(page.relative_to(ROOT / "docs")) for page in ROOT.glob("docs/**/*.md")}
    assert shown == pages | {"index.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "examples/README.md"}


@pytest.mark.slow
def test_site_builds_without_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mkdocstrings", reason="the extra docs is not installed")
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("NO_MKDOCS_2_WARNING", "1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = load_config("mkdocs.yml", strict=True, site_dir=str(tmp_path / "site"))
        config.plugins.on_startup(command="build", dirty=False)
        build(config)
    assert 'id="zonesearch.run_pipeline"' in (tmp_path / "site" / "reference" / "running.html").read_text()


def test_version_stands_in_one_place(capsys: pytest.CaptureFixture[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "zonesearch.__version__"}
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"zonesearch {zonesearch.__version__}\n"
    assert re.search(rf"^## {re.escape(zonesearch.__version__)}\b", (ROOT / "CHANGELOG.md").read_text(), flags=re.M)


def test_hooks_and_workflow_call_what_the_makefile_has() -> None:
    rules = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text())
    steps = [step["run"] for step in workflow["jobs"]["test"]["steps"] if "run" in step]
    assert steps == ["make test", "make docs"]
    assert {step.split()[1] for step in steps} <= rules
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    assert [hook["id"] for hook in hooks] == ["ruff-check", "ruff-format", "mypy"]
