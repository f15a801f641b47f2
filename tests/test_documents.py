"""docs/study-file.md against the code: every key and default, every block of TOML, every example."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from zonesearch import run_pipeline
from zonesearch.core.plugins import registered
from zonesearch.core.reading import Reading
from zonesearch.core.space import _AXIS_KEYS, Space
from zonesearch.study.building import describe_stage
from zonesearch.study.files import parse_study
from zonesearch.study.objectives import FunctionTable
from zonesearch.study.study import _RUN_KEYS, _SEARCH_KEYS, _TABLES
from zonesearch.training.averaging import Averaging
from zonesearch.training.early_stopping import EarlyStopping
from zonesearch.training.evolution import RandomGradients, Strategies
from zonesearch.training.gradient_noise import GradientNoise
from zonesearch.training.noise_scale import NoiseScaleProbe
from zonesearch.training.recipe import Recipe
from zonesearch.training.settings import Settings

DOCUMENT = (Path(__file__).parents[1] / "docs" / "study-file.md").read_text()
OF_ALL_STAGES = {"epochs", "seeds", "reading", "level"}
OF_THE_STUDY = {"space", "name", "study_seed"}

Defaults = Mapping[str, Any]


def tables() -> dict[str, dict[str, str]]:
    """What the document says under each heading ``[table]``: the default of each key, as it is written there."""
    found: dict[str, dict[str, str]] = {}
    for part in re.split(r"^##+ ", DOCUMENT, flags=re.MULTILINE):
        heading = re.match(r"`\[(.+?)\]`", part)
        if heading:
            rows = re.findall(r"^\| `([\w-]+)` \| ?(.*?) ?\|", part, flags=re.MULTILINE)
            found[heading[1]] = dict(rows)
            assert len(found[heading[1]]) == len(rows), f"a key of [{heading[1]}] stands twice"
    return found


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", DOCUMENT, flags=re.MULTILINE | re.DOTALL)


def defaults(cls: Any) -> dict[str, Any]:
    """The fields of a dataclass with their defaults, as a study file would have them."""
    made = {}
    for field in dataclasses.fields(cls):
        if field.default is not dataclasses.MISSING:
            made[field.name] = field.default
        elif field.default_factory is not dataclasses.MISSING:
            made[field.name] = field.default_factory()
        else:
            made[field.name] = None
    return made


def stages() -> dict[str, dict[str, Any]]:
    """The own settings of every stage that ships, by name."""
    found = {}
    for name, point in registered("stages").items():
        if point.value.startswith("zonesearch."):
            cls = point.load()
            space = Space.parse({"learning_rate": [0.001, 0.1]})
            has = defaults(cls)
            described = describe_stage(cls(**{k: v for k, v in (("space", space), ("epochs", 1)) if k in has}))
            found[name] = {k: described[k] for k in has if k not in OF_THE_STUDY}
    return found


SETTINGS = {part.name: defaults(part.default) for part in dataclasses.fields(Settings)}
SETTINGS["training"]["epochs"] = 1
TECHNIQUES = {
    "averaging": defaults(Averaging),
    "early_stopping": defaults(EarlyStopping),
    "gradient_noise": defaults(GradientNoise),
    "noise_scale": defaults(NoiseScaleProbe),
    "evolution": {"kind": "random_gradients", **defaults(Strategies), **defaults(RandomGradients)},
}
PROSE = {"space", "search", "run", "objective", "arms"}
"""Tables whose defaults depend on other keys, or that have keys of any name."""


def said(text: str) -> Any:
    """The default that a cell of the document names; None for an empty one."""
    return tomllib.loads(f"value = {text.strip('`')}")["value"] if text.strip() else None


def written(value: Any) -> Any:
    """A default as TOML has it."""
    if isinstance(value, Reading):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


@pytest.mark.parametrize("table", [*SETTINGS, *TECHNIQUES])
def test_every_key_of_an_objective_stands_in_the_document_with_its_default(table: str) -> None:
    wanted = {**SETTINGS, **TECHNIQUES}[table]
    assert {key: said(text) for key, text in tables()[table].items()} == {
        key: {} if key == "arguments" else written(value) for key, value in wanted.items()
    }


@pytest.mark.parametrize("stage", stages())
def test_every_key_of_a_stage_stands_in_the_document_with_its_default(stage: str) -> None:
    own = {key: value for key, value in stages()[stage].items() if key not in OF_ALL_STAGES}
    documented = {key: said(text) for key, text in tables()[stage].items()}
    extra = {key: documented.pop(key) for key in set(documented) & OF_ALL_STAGES}
    assert documented == own
    assert extra.items() <= stages()[stage].items()


def test_every_other_key_and_every_table_stands_in_the_document() -> None:
    found = tables()
    assert set(found["space"]) == set(_AXIS_KEYS)
    assert set(found["search"]) == set(_SEARCH_KEYS)
    assert set(found["run"]) == set(_RUN_KEYS)
    assert set(found["objective"]) == {"kind", *(field.name for field in dataclasses.fields(FunctionTable))}
    assert set(found) == {*_TABLES, *stages()}


@pytest.mark.parametrize("text", blocks("toml"))
def test_every_block_of_toml_is_a_study_that_can_be_made(text: str) -> None:
    study = parse_study(text, name="block", where="docs/study-file.md")
    assert study.stages
    tables_of_it = tomllib.loads(text)
    if "objective" not in tables_of_it:
        recipe = study.objective()
        assert isinstance(recipe, Recipe)
        for point in study.space.grid():
            recipe.settings_of(point)


def test_the_examples_with_functions_of_ones_own_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for text in blocks("python"):
        (tmp_path / re.match(r"# (\w+\.py)\n", text)[1]).write_text(text)  # type: ignore[index]
    monkeypatch.syspath_prepend(tmp_path)
    own = [text for text in blocks("toml") if '"my_' in text]
    assert len(own) == 2
    for text in own:
        result = run_pipeline(parse_study(text, name="own", where="docs/study-file.md"))
        assert result.verdict is not None
        assert set(result.frame()["state"]) == {"complete"}
