"""An axis that no training of a space reads is refused, by file and in Python; one that some training reads is not."""

from __future__ import annotations

import itertools
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zonesearch import load_run, run_pipeline
from zonesearch.cli.main import main
from zonesearch.core.space import Space
from zonesearch.core.values import same
from zonesearch.errors import StudyError
from zonesearch.run.running import run_study
from zonesearch.study.anywhere import Point, reason_everywhere
from zonesearch.study.files import parse_study, tables_in
from zonesearch.study.recipe_settings import EVOLUTION_KEYS
from zonesearch.study.study import Study
from zonesearch.study.winner import winner_study
from zonesearch.training.evolution import RandomGradients, Strategies
from zonesearch.training.recipe import Recipe
from zonesearch.training.schedules import parse
from zonesearch.training.schedules.parsing import _CLASSES

TRIANGLE = 'schedule = "triangular(low=0.01, high=0.1, half_cycle=1)"'
ARMS = '[arms.a]\noptimizer.name = "adam"\n[arms.b]\noptimizer.name = '
IDLE = [
    ("momentum", "momentum = [0.1, 0.9]", "", 'the optimizer "adam" does not read it'),
    ("momentum", 'optimizer = ["adam", "adamw"]\nmomentum = [0.1, 0.9]', "", 'the optimizer "adam" or "adamw" does'),
    ("optimizer.momentum", '"optimizer.momentum" = [0.1, 0.9]', "", 'the optimizer "adam" does not read it'),
    ("momentum", 'arm = ["a", "b"]\nmomentum = [0.1, 0.9]', ARMS + '"adamw"', 'the optimizer "adam" does not read it'),
    (
        "momentum",
        'arm = ["b"]\nmomentum = [0.1, 0.9]',
        "[optimizer]\nname = 'sgd'\n[arms.b]\noptimizer.name = 'adamw'",
        'the optimizer "adamw" does not read it',
    ),
    ("beta1", "beta1 = [0.8, 0.9]", "[optimizer]\nname = 'sgd'", 'the optimizer "sgd" does not read it'),
    ("history", 'optimizer = ["sgd", "adam"]\nhistory = [5, 10]', "", "does not read it"),
    ("dampening", 'optimizer = ["adam", "sgd"]\ndampening = [0.1, 0.5]', "", "sgd without momentum dampens nothing"),
    ("dampening", "momentum = [0.0]\ndampening = [0.1, 0.5]", "[optimizer]\nname = 'sgd'", "dampens nothing"),
    ("batch", "batch = [16, 32]", "[optimizer]\nname = 'lbfgs'", "a step of lbfgs is the whole training part"),
    ("batch", 'optimizer = ["lbfgs"]\nbatch = [16, 32]', "", "a step of lbfgs"),
    ("channels", "channels = [4, 8]", "", 'a network of kind "mlp" does not read it'),
    ("blocks", "blocks = [1, 2]", "", 'a network of kind "mlp" does not read it'),
    ("width", "width = [4, 8]", "[network]\nkind = 'cnn'", 'a network of kind "cnn" does not read it'),
    ("width", 'kind = ["cnn", "backbone"]\nwidth = [4, 8]', "", 'kind "cnn" or "backbone" does not read it'),
    ("width", "width = [4, 8]", "[network]\nwidths = [4, 4]", "widths gives the width of each hidden layer"),
    ("width", "width = [4, 8]\nwidth_1 = [4, 8]", "", "has an axis of its own"),
    ("width", "depth = [1, 2]\nwidth = [4, 8]\nwidth_1 = [4, 8]\nwidth_2 = [4, 8]", "", "has an axis of its own"),
    ("body_rate", "body_rate = [0.1, 1.0]", "[network]\nkind = 'backbone'\ntune = 'head'", "trains the head alone"),
    ("body_rate", 'kind = ["mlp", "backbone"]\ntune = ["head"]\nbody_rate = [0.1, 1.0]', "", "trains the head alone"),
    ("padding", 'padding = ["zero", "reflect"]', "", "there is no padding"),
    ("draws", "draws = [2, 4]", "", "nothing is augmented"),
    ("padding", 'pad = [0]\npadding = ["zero", "reflect"]', "", "there is no padding"),
    ("reference_batch", "reference_batch = [16, 32]", "", "the rate is not tied to the batch"),
    ("learning_rate", "learning_rate = [0.1, 0.2]", f"[training]\n{TRIANGLE}", "sets the rate itself"),
    (
        "learning_rate",
        f'learning_rate = [0.1, 0.2]\nschedule = [{TRIANGLE[11:]}, "warmup(1, then={TRIANGLE[12:-1]})"]',
        "",
        "sets the rate itself",
    ),
    ("rate_rule", 'rate_rule = ["none", "sqrt"]', f"[training]\n{TRIANGLE}", "sets the rate itself"),
    ("device", 'device = ["auto", "cpu"]', "", r"one kind of device; set \[training\] device"),
    ("keep_mb", "keep_mb = [0, 20]", "", r"set \[training\] keep_mb"),
    ("averaging.keep", '"averaging.keep" = [2, 4]', "[averaging]", "only an ensemble keeps members"),
    ("averaging.keep", 'kind = ["mlp"]\n"averaging.keep" = [2, 4]', "[averaging]", "only an ensemble keeps members"),
    ("evolution.sigma", '"evolution.sigma" = [0.1, 0.2]', "[evolution]", 'kind "random_gradients" does not read it'),
    (
        "evolution.temperature",
        '"evolution.temperature" = [1.0, 2.0]',
        "[evolution]\nkind = 'strategies'",
        'kind "strategies" does not read it',
    ),
    ("early_stopping.least", '"early_stopping.least" = [1, 2]', "[early_stopping]\nafter = 3", "set patience or rise"),
    (
        "momentum",
        'optimizer = ["adam", "sgd"]\nx = { choices = ["u", "v"], when = { optimizer = "adam" } }\n'
        'momentum = { values = [0.1, 0.9], when = { x = "u" } }',
        "[network]\nkind = 'mlp'",
        'the optimizer "adam" does not read it',
    ),
    (
        "momentum",
        'optimizer = ["adam", "sgd"]\nmomentum = [0.1, 0.9]',
        "[constraints]\nexpressions = ['optimizer != \"sgd\"']",
        'the optimizer "adam" does not read it',
    ),
]
ALLOWED = [
    ('optimizer = ["adam", "sgd"]\nmomentum = [0.1, 0.9]', ""),
    ('optimizer = ["adam", "rmsprop"]\nmomentum = { values = [0.1, 0.9], when = { optimizer = "rmsprop" } }', ""),
    ('arm = ["a", "b"]\nmomentum = [0.1, 0.9]', ARMS + '"sgd"'),
    ('arm = ["b"]\nmomentum = [0.1, 0.9]', '[arms.b]\noptimizer.name = "sgd"'),
    ("momentum = [0.0, 0.9]\ndampening = [0.1, 0.5]", "[optimizer]\nname = 'sgd'"),
    ("dampening = [0.1, 0.5]\n[space.momentum]\nlow = 0.0\nhigh = 0.9\nrow = [0.0]", "[optimizer]\nname = 'sgd'"),
    ('optimizer = ["adam", "lbfgs"]\nbatch = [16, 32]', ""),
    ('kind = ["mlp", "cnn"]\nchannels = [4, 8]\nwidth = [4, 8]', ""),
    ('kind = ["cnn", "own:network"]\nwidth = [4, 8]\nanything = [1, 2]', ""),
    ("channels = [4, 8]\nblocks = [1, 2]", "[network]\nkind = 'own:network'"),
    ("width = [4, 8]\nwidth_1 = [4, 8]", "[network]\ndepth = 2"),
    ("depth = [1, 2]\nwidth = [4, 8]\nwidth_1 = [4, 8]", ""),
    ('tune = ["head", "full"]\nbody_rate = [0.1, 1.0]', "[network]\nkind = 'backbone'"),
    ('pad = [0, 2]\npadding = ["zero", "reflect"]', ""),
    ("pad = [0, 2]\ndraws = [0, 4]", ""),
    ('rate_rule = ["none", "sqrt"]\nreference_batch = [16, 32]', ""),
    (f'learning_rate = [0.1, 0.2]\nschedule = ["constant", {TRIANGLE[11:]}]', ""),
    ("learning_rate = [0.1, 0.2]", "[training]\nschedule = 'fge(low=0.01, high=0.1)'"),
    ('rate_rule = ["none", "sqrt"]', "[training]\nschedule = 'sweep(low=0.01, high=0.1)'"),
    ('kind = ["mlp", "cnn"]\n"averaging.keep" = [2, 4]', "[averaging]\nkind = 'ensemble'"),
    ('arm = ["a", "b"]\n"averaging.keep" = [2, 4]', "[averaging]\n[arms.a]\n[arms.b]\naveraging.kind = 'ensemble'"),
    ('"evolution.sigma" = [0.1, 0.2]', "[evolution]\nkind = 'strategies'"),
    ('"early_stopping.least" = [1, 2]', "[early_stopping]\nafter = 3\npatience = 2"),
    ('"early_stopping.least" = [1, 2]\n"early_stopping.rise" = [1.0, 5.0]', "[early_stopping]\nafter = 3"),
    (
        'optimizer = ["adam", "sgd"]\nbatch = [16, 32]\nmomentum = [0.1, 0.9]',
        "[constraints]\nexpressions = ['optimizer != \"sgd\" or batch > 20']",
    ),
]


def text_of(axes: str, more: str) -> str:
    return f"[space]\n{axes}\n{more}\n"


def in_python(text: str) -> Study:
    """The same study with a recipe."""
    tables = tables_in(text, "here")
    constraints = tables.pop("constraints", {}).get("expressions", ())
    return Study.of(tables.pop("space"), Recipe.from_tables(tables), stages=["grid"], constraints=constraints)


@pytest.mark.parametrize(("axis", "axes", "more", "why"), IDLE)
def test_an_axis_that_no_training_reads_is_refused(axis: str, axes: str, more: str, why: str) -> None:
    with pytest.raises(StudyError, match=why) as caught:
        parse_study(text_of(axes, more), name="s", where="s.toml")
    assert str(caught.value).startswith(f's.toml: axis "{axis}" has no effect: ')
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("axis", "axes", "more", "why"), IDLE)
def test_an_axis_that_no_training_reads_is_refused_in_python(axis: str, axes: str, more: str, why: str) -> None:
    with pytest.raises(StudyError, match=why) as caught:
        in_python(text_of(axes, more))
    assert str(caught.value).startswith(f'axis "{axis}" has no effect: ')


@pytest.mark.parametrize(("axes", "more"), ALLOWED)
def test_an_axis_that_some_training_reads_is_taken(axes: str, more: str) -> None:
    parse_study(text_of(axes, more), name="s", where="s.toml")
    in_python(text_of(axes, more))


def test_an_axis_without_effect_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    recipe = Recipe.from_tables({"data": {"limit": 90}})
    with pytest.raises(StudyError, match='axis "momentum" has no effect: the optimizer "adam" does not read it'):
        run_pipeline({"momentum": [0.1, 0.9]}, objective=recipe, into=tmp_path / "run")
    space = Space.parse({"momentum": [0.1, 0.9]})
    with pytest.raises(StudyError, match='axis "momentum" has no effect'):
        run_study(Study("s", space, in_python(text_of("width = [4, 8]", "")).stages, lambda: recipe))
    assert not (tmp_path / "run").exists()


def test_a_function_reads_what_it_likes() -> None:
    Study.of({"momentum": [0.1, 0.9], "channels": [4, 8]}, lambda params: 0.5)


OLD = """
name = "old"
[space]
momentum = [0.1, 0.9]
[data]
name = "digits"
limit = 90
[network]
width = 2
[search]
stages = ["grid"]
"""


def test_a_run_with_such_an_axis_is_read_and_not_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file, run = tmp_path / "old.toml", tmp_path / "run"
    file.write_text(OLD)
    with monkeypatch.context() as patch:  # as an earlier version would
        patch.setattr("zonesearch.run.running.check_axes_of", lambda objective, space: None)
        run_study(parse_study(OLD, name="old", where="old.toml", recorded=True), into=run)
    assert len(load_run(run).trials) >= 2
    assert main(["status", str(run)]) == 0
    assert main(["train", str(run), "--out", str(tmp_path / "net.pt")]) == 0
    capsys.readouterr()
    before = len(load_run(run).trials)
    assert main(["run", str(file), "--into", str(run)]) == 2
    assert 'axis "momentum" has no effect: the optimizer "adam" does not read it' in capsys.readouterr().err
    assert len(load_run(run).trials) == before


def test_the_winner_of_a_search_keeps_an_axis_that_another_one_switches_off() -> None:
    given = tomllib.loads(text_of('optimizer = ["adam", "sgd"]\nmomentum = [0.1, 0.9]', ""))
    text = winner_study(given, {"optimizer": "adam", "momentum": 0.1}, name="w")
    assert parse_study(text, name="w", where="w.toml").space.names == ("optimizer", "momentum")
    with pytest.raises(StudyError, match='axis "momentum" has no effect'):
        parse_study(text_of("momentum = [0.1]", ""), name="s", where="s.toml")


def test_a_schedule_says_whether_it_reads_the_base_rate() -> None:
    own = {"triangular": "(0.01, 0.1)", "triangular2": "(0.01, 0.1)", "exp_range": "(0.01, 0.1)", "sgdr": "(0.001, 1)"}
    own |= {"step": "(1)", "plateau": "(1)", "snapshot": "(2)", "fge": "(0.001)", "swa": "(0.001)", "cosine": "()"}
    for cls in _CLASSES:
        schedule = parse(cls.name + own.get(cls.name, "()"))
        rates = [[schedule.rate(base, step, 5, 8) for step in range(40)] for base in (0.1, 0.2)]
        assert schedule.uses_base == (rates[0] != rates[1]), cls.name
    assert not parse("warmup(2, then=triangular(0.01, 0.1))").uses_base


def test_the_kinds_of_evolution_are_known() -> None:
    fields = {cls.kind: set(cls.__dataclass_fields__) - {"kind"} for cls in (RandomGradients, Strategies)}
    shared = fields["random_gradients"] & fields["strategies"]
    assert {kind: set(keys) for kind, keys in EVOLUTION_KEYS.items()} == {
        k: keys - shared for k, keys in fields.items()
    }


@given(
    st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, unique=True),
    st.lists(st.sampled_from([1, 2, 3]), min_size=1, unique=True),
    st.sets(st.tuples(st.sampled_from(["a", "b", "c"]), st.sampled_from([1, 2, 3]))),
    st.booleans(),
)
def test_what_holds_at_every_cell_holds_everywhere(
    kinds: list[str], numbers: list[int], reading: set[tuple[str, int]], conditional: bool
) -> None:
    tables: dict[str, Any] = {"kind": kinds, "n": {"choices": numbers}, "idle": [5, 6], "asked": [0.1, 0.2]}
    if conditional:
        tables["asked"] = {"values": [0.1, 0.2], "when": {"kind": kinds[0]}}
    space = Space.parse(tables)

    def reason(point: Point) -> str:
        of_kind, of_n = point.values("kind") or [], point.values("n") or []
        return "" if any(pair in reading for pair in itertools.product(of_kind, of_n)) else "nothing reads it"

    found, known = reason_everywhere(space, reason, "asked")
    cells = [cell for cell in space.grid() if "asked" in cell]
    assert bool(found) == all((cell["kind"], cell["n"]) not in reading for cell in cells)
    assert known == {"kind", "n"}
    assert not any(same(name, "idle") for name in known)
