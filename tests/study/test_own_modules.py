"""The user's own code is a part of the identity: the function's module and those that it imports."""

from __future__ import annotations

import functools
import importlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from zonesearch import Training
from zonesearch.core.objective import Job
from zonesearch.errors import ObjectiveError, StudyError
from zonesearch.run.begun import open_run
from zonesearch.run.running import run_study
from zonesearch.study.files import parse_study
from zonesearch.training.function import FunctionObjective
from zonesearch.training.modules import modules_of

FILES = {
    "ow_main.py": "import math\nimport numpy\nfrom ow_pack import near\nFACTOR = 2\n\n\ndef train(params):\n"
    "    return near.value(params) * FACTOR + math.pi * 0 + numpy.pi * 0\n",
    "ow_pack/__init__.py": "",
    "ow_pack/near.py": "from . import far\n\n\ndef value(params):\n    import ow_late\n"
    "    return far.ONE + params['x']\n",
    "ow_pack/far.py": "ONE = 1\n",
    "ow_late.py": "def unused():\n    return 0\n",
    "ow_other.py": "def elsewhere():\n    return 0\n",
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with modules of the user's own, on the path."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    importlib.invalidate_caches()
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("ow_")]:
        del sys.modules[name]


def function(name: str = "train") -> Any:
    return getattr(importlib.import_module("ow_main"), name)


def fingerprint(of: Any = None, **more: Any) -> Any:
    return FunctionObjective(of or function(), **more).fingerprint()


def test_all_modules_of_the_users_own_are_covered_and_no_others() -> None:
    assert list(modules_of(function())) == ["ow_late", "ow_main", "ow_pack", "ow_pack.far", "ow_pack.near"]
    assert modules_of(importlib.import_module("math").sqrt) == {}
    assert modules_of(parse_study) == {}


@pytest.mark.parametrize("file", sorted(set(FILES) - {"ow_other.py"}))
def test_an_edit_of_any_of_them_is_another_experiment(here: Path, file: str) -> None:
    before = fingerprint()
    assert fingerprint() == before
    (here / file).write_text((here / file).read_text() + "\nCHANGED = 1\n")
    assert fingerprint() != before
    assert fingerprint(version="1") == fingerprint(version="1")


def test_an_edit_of_another_module_is_none(here: Path) -> None:
    before = fingerprint()
    (here / "ow_other.py").write_text("x = 1\n")
    assert fingerprint() == before


def test_a_version_takes_the_place_of_the_code(here: Path) -> None:
    before = fingerprint(version="1")
    assert before != fingerprint(version="2") != fingerprint()
    (here / "ow_pack" / "far.py").write_text("ONE = 2\n")
    assert fingerprint(version="1") == before


def test_arguments_are_a_part_of_it() -> None:
    def train(params: dict[str, Any], depth: int = 1) -> float:
        return float(depth)

    given: list[dict[str, int]] = [{}, {"depth": 2}, {"depth": 3}]
    made = [FunctionObjective(train, arguments=arguments).fingerprint() for arguments in given]
    assert made[0] != made[1] != made[2]
    assert FunctionObjective(functools.partial(train, depth=2)).fingerprint() != made[0]
    assert (
        FunctionObjective(functools.partial(train, depth=2)).fingerprint()
        != FunctionObjective(functools.partial(train, depth=3)).fingerprint()
    )


class Trainer:
    """A function as an object."""

    def __init__(self, offset: float) -> None:
        self.offset = offset

    def __call__(self, params: dict[str, Any]) -> float:
        return self.offset

    def method(self, params: dict[str, Any]) -> float:
        return self.offset


def test_what_an_object_holds_is_a_part_of_it() -> None:
    assert fingerprint(Trainer(1.0)) == fingerprint(Trainer(1.0))
    assert fingerprint(Trainer(1.0)) != fingerprint(Trainer(2.0))


SCRIPT = """
import json, sys
from zonesearch.training.function import FunctionObjective
SLOPE = {slope}
KEEP = {keep}

def helper(x):
    return SLOPE * x

def train(params):
    return helper(params["x"])

settings = {{"keep": {keep}}}; anonymous = lambda params: helper(params["x"]) + {more}
print(json.dumps([FunctionObjective(f).fingerprint() for f in (train, anonymous)]))
"""


def in_a_script(path: Path, **values: int) -> list[Any]:
    import json

    path.write_text(SCRIPT.format(**{"slope": 1, "keep": 1, "more": 1, **values}))
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def test_in_a_script_counts_what_the_function_uses(here: Path) -> None:
    plain = in_a_script(here / "script.py")
    assert in_a_script(here / "script.py", keep=3) == plain  # other settings of a search in the same file
    slope = in_a_script(here / "script.py", slope=2)
    assert slope[0] != plain[0]
    assert slope[1] != plain[1]
    more = in_a_script(here / "script.py", more=2)
    assert more[0] == plain[0]
    assert more[1] != plain[1]


FILLED = """
from zonesearch.training.function import FunctionObjective
history, cache, settings = [], {}, {"slope": 1}

def train(params):
    history.append(params["x"])
    cache[params["x"]] = 1
    return settings["slope"] * params["x"]

before = FunctionObjective(train).fingerprint()
train({"x": 1})
assert FunctionObjective(train).fingerprint() == before, "it is the same function after it was called"
settings["slope"] = 2
assert FunctionObjective(train).fingerprint() != before, "what it only reads counts"
"""


def test_what_a_function_fills_itself_is_no_part_of_it(here: Path) -> None:
    (here / "script.py").write_text(FILLED)
    subprocess.run([sys.executable, str(here / "script.py")], check=True)


STUDY = """
[space]
x = [1, 2, 4]
[objective]
function = "ow_main:train"
"""


def test_an_edited_module_is_refused_naming_it_and_both_digests(here: Path) -> None:
    run_study(parse_study(STUDY, name="s", where="s.toml"), into="run")
    (here / "ow_pack" / "far.py").write_text("ONE = 3\n")
    with pytest.raises(StudyError, match=r'the code of the module ow_pack.far: "\w{16}" -> "\w{16}"\. '):
        run_study(parse_study(STUDY, name="s", where="s.toml"), into="run")


def test_an_edited_module_behind_a_network_is_refused(here: Path) -> None:
    (here / "ow_net.py").write_text(
        "from torch import nn\nimport ow_other\n\n\ndef net(params):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, params['n_classes']))\n"
    )
    text = '[space]\nlearning_rate = [0.01, 0.1]\n[data]\nname = "digits"\n[network]\nkind = "ow_net:net"\n'

    def opened() -> Any:
        study = parse_study(text, name="s", where="s.toml")
        return open_run(study, study.objective(), "run")

    first = opened().study
    assert opened().study == first
    (here / "ow_other.py").write_text("y = 1\n")
    with pytest.raises(StudyError, match=r"the code of the module ow_other: "):
        opened()


@pytest.mark.parametrize(
    ("define", "arguments", "result"),
    [
        ("def f(params, scale=1): return params['x'] * scale", {"scale": 3}, 6),
        ("def f(params, seed, epochs, *, scale): return params['x'] * scale + seed + epochs", {"scale": 3}, 6 + 5 + 7),
        ("def f(params, scale, seed): return params['x'] * scale + seed", {"scale": 3}, 6 + 5),
        ("def f(params, **more): return params['x'] * more['scale']", {"scale": 3}, 6),
        ("def f(params, /, seed, epochs, names=()): return len(names) + epochs", {"names": ["a", "b"]}, 2 + 7),
    ],
)
def test_arguments_reach_the_function(define: str, arguments: dict[str, Any], result: float) -> None:
    made: dict[str, Callable[..., Any]] = {}
    exec(define, made)
    objective = FunctionObjective(made["f"], arguments=arguments)
    (trial,) = objective.train(Job((Training({"x": 2}, 5, 7),)), lambda share: None)
    assert trial.accuracy == result


def test_an_argument_that_the_function_does_not_take_is_refused() -> None:
    def train(params: dict[str, Any], scale: float = 1.0) -> float:
        return scale

    with pytest.raises(ObjectiveError, match='train has no argument "scael"; did you mean "scale"'):
        FunctionObjective(train, arguments={"scael": 2.0})


def test_arguments_and_version_in_a_study_file() -> None:
    text = "def f(params, scale=1, names=()):\n    return params['x'] * scale + len(names)\n"
    (Path.cwd() / "ow_args.py").write_text(text)
    head = '[space]\nx = [1, 2, 4]\n[objective]\nfunction = "ow_args:f"\n'
    text = head + 'arguments = { scale = 3, names = ["a"] }\nversion = "2026-05"\n'
    study = parse_study(text, name="s", where="s.toml")
    found = {trial.params["x"]: trial.accuracy for trial in run_study(study, into="run").results.trials}
    assert {x: found[x] for x in (1, 2, 4)} == {1: 4.0, 2: 7.0, 4: 13.0}
    assert "modules" not in study.objective().fingerprint()
    with pytest.raises(StudyError, match=r"\[objective\] arguments.scale: 3 -> 4"):
        run_study(parse_study(text.replace("scale = 3", "scale = 4"), name="s", where="s.toml"), into="run")
    with pytest.raises(ObjectiveError, match=r's.toml: \[objective\] f has no argument "scal"'):
        parse_study(head + "arguments = { scal = 3 }\n", name="s", where="s.toml").objective()


def test_a_module_that_raises_at_import_is_one_sentence() -> None:
    (Path.cwd() / "ow_bad.py").write_text("1 / 0\n")
    text = '[space]\nx = [1, 2]\n[objective]\nfunction = "ow_bad:f"\n'
    with pytest.raises(StudyError, match=r"ow_bad:f' cannot be imported: ZeroDivisionError: division by zero"):
        parse_study(text, name="s", where="s.toml").objective()
