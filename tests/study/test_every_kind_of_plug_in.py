"""A plug-in package adds each kind of part with one file and one line, and each is used for real."""

from __future__ import annotations

import importlib
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from zonesearch import ObjectiveError, StoreError, StudyError, load_run, read_study, run_pipeline
from zonesearch.cli.main import COMMANDS, main
from zonesearch.core.plugins import GROUPS, registered
from zonesearch.core.space import Space
from zonesearch.run.begun import identity_of
from zonesearch.run.engines.runner import ENGINES, open_engine
from zonesearch.study.files import parse_study
from zonesearch.training.schedules.parsing import parse

ROOT = Path(__file__).parents[2]
PARTS = {
    "stages": "first-cell = extra.stage:FirstCell",
    "schedules": "harmonic = extra.schedule:Harmonic",
    "networks": "skip = extra.network:skip",
    "metrics": "top3_error = extra.metric:top3_error",
    "engines": "room = extra.engine:Room",
    "storages": "onefile = extra.storage:OneFile",
    "figures": "all-values = extra.figure:all_values",
    "commands": "count = extra.command",
}
GRID = """
name = "plugged"
[space]
width = [4, 8]
[data]
name = "digits"
limit = 120
[network]
kind = "skip"
[training]
epochs = 2
schedule = "harmonic(by=0.5)"
metric = "top3_error"
direction = "minimize"
[search]
stages = ["grid"]
seeds = 1
[run]
engine = "room://attic"
"""
TOP3 = 'metric = "top3_error"\ndirection = "minimize"\n'
STUDY = f"""
{GRID.replace('["grid"]', '["first-cell", "grid", "polish"]')}
[polish]
schedules = []
keep = 1
repeats = 2
"""


def install(folder: Path, version: str = "1.0", **more: str) -> None:
    """The package in ``folder``, with its entry points; ``more`` lines by kind."""
    shutil.copytree(Path(__file__).parent / "extra", folder / "extra", dirs_exist_ok=True)
    for old in folder.glob("extra-*.dist-info"):
        shutil.rmtree(old)
    info = folder / f"extra-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: extra\nVersion: {version}\n")
    lines = [f"[{GROUPS[kind]}]\n{line}\n{more.get(kind, '')}\n" for kind, line in PARTS.items()]
    (info / "entry_points.txt").write_text("".join(lines))
    forget()


def forget() -> None:
    importlib.invalidate_caches()
    for cached in (registered, parse):
        cached.cache_clear()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the user stands; the package is installed beside it."""
    packages, here = tmp_path / "site-packages", tmp_path / "here"
    packages.mkdir()
    here.mkdir()
    install(packages)
    monkeypatch.syspath_prepend(str(packages))
    monkeypatch.chdir(here)
    (here / "plugged.toml").write_text(STUDY)
    (here / "grid.toml").write_text(GRID)
    yield here
    for name in [name for name in sys.modules if name.partition(".")[0] == "extra"]:
        del sys.modules[name]
    forget()


def test_each_kind_of_part_works_from_a_plug_in(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = f"onefile://{here}/runs.sqlite"
    assert main(["run", "plugged.toml", "--into", place, "--quiet"]) == 0
    assert not (here / "runs").exists()
    result = load_run(place)
    assert [stage.name for stage in result.results.stages] == ["first-cell", "grid", "polish"]
    assert (result.results.metric.name, str(result.results.metric.direction)) == ("top3_error", "minimize")
    assert {trial.provenance["room"] for trial in result.trials} == {"attic"}
    trial = next(iter(result.trials))
    assert trial.curve["learning_rate"] == pytest.approx([0.001, 0.001 / 1.5])
    assert (
        trial.n_parameters == 64 * trial.params["width"] + trial.params["width"] ** 2 + 12 * trial.params["width"] + 10
    )
    assert result.verdict is not None
    n = len(result.trials)

    capsys.readouterr()
    assert main(["run", "plugged.toml", "--into", place]) == 0  # goes on: nothing is trained again
    assert "Nothing to train" in capsys.readouterr().out
    assert len(load_run(place).trials) == n

    assert main(["report", place]) == 0
    report = (here / "plugged.html").read_text()
    assert "Figures of plug-ins" in report
    assert "Every value, in order" in report
    assert result.figures["all-values"].data[0].y

    assert main(["count", place]) == 0
    assert f"{n} trainings\n" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "Say how many trainings a run has." in capsys.readouterr().out


def test_run_in_a_storage_is_read_sharded_and_merged_as_a_folder_is(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = f"onefile://{here}/shards.sqlite"
    for shard in ("1/2", "2/2"):
        assert main(["run", "grid.toml", "--into", place, "--shard", shard]) == 0
    capsys.readouterr()
    assert main(["status", place]) == 0
    assert "plugged (onefile://" in capsys.readouterr().out
    assert main(["trials", place, "--csv"]) == 0
    assert capsys.readouterr().out.startswith("width,top3_error,")
    assert main(["merge", place, "--into", "copy"]) == 0
    copy = load_run("copy")
    assert copy.frame().equals(load_run(place).frame())
    assert {trial.provenance["shard"] for trial in copy.trials} == {"1/2", "2/2"}


def test_what_a_storage_cannot_do_is_one_sentence(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = f"onefile://{here}/one.sqlite"
    run = ["run", "grid.toml", "--quiet", "--into"]
    assert main([*run, place]) == 0
    for command, said in (
        ([*run, place, "--fresh"], "--fresh moves a run folder aside"),
        ([*run, place, "--view", "sqlite:///view.db"], "leave out --view"),
        ([*run, place, "--set", "training.epochs=3", "--set", "data.limit=130"], "is another experiment: "),
        ([*run, "onefil://x"], 'unknown name "onefil" among the storages; did you mean "onefile"?'),
        (["status", "nowhere://x"], 'unknown name "nowhere" among the storages'),
        (["status", f"onefile://{here}/none.sqlite"], "there is no run at onefile://"),
        (["view", place], "copies it to one"),
        (["export", place, "--tensorboard", "logs"], "copies it to one"),
        (["submit", "plugged.toml", "--into", place, "--n", "2", "--executor", "local"], "copies it to one"),
        (["merge", "copy", "--into", place], "a merge ends in a run folder"),
    ):
        capsys.readouterr()
        assert main(command) == 2, command
        error = capsys.readouterr().err
        assert said in error
        assert error.count("\n") == 1
    (here / "one.sqlite").write_bytes(b"no database, but as long as one" * 100)
    assert main(["status", place]) == 2
    assert "cannot be read (DatabaseError" in capsys.readouterr().err


def test_trials_that_a_storage_does_not_take_are_rescued(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = importlib.import_module("extra.storage")
    kept = storage.OneFile.append

    def full(self: object, lines: list[bytes]) -> None:
        if not lines[0].startswith(b'{"heading"'):
            raise RuntimeError("quota exceeded")
        kept(self, lines)

    monkeypatch.setattr(storage.OneFile, "append", full)
    with pytest.raises(StoreError, match="quota exceeded") as error:
        run_pipeline(read_study("grid.toml"), into="onefile://full.sqlite")
    [rescued] = here.glob("*.jsonl")
    assert str(rescued) in str(error.value)
    assert main(["merge", str(rescued), "--into", "saved"]) == 0


@pytest.mark.parametrize(
    ("file", "line", "changed"),
    [
        ("schedule", "return base / (1 +", "return base / (2 +"),
        ("network", "hidden + self.second(hidden).relu()", "hidden - self.second(hidden).relu()"),
        ("metric", "1 - float(", "2 - float("),
    ],
)
def test_edited_code_of_a_plug_in_is_another_experiment(here: Path, file: str, line: str, changed: str) -> None:
    run_pipeline(parse_study(GRID, name="s", where="s.toml"), into="run")
    path = here.parent / "site-packages" / "extra" / f"{file}.py"
    path.write_text(path.read_text().replace(line, changed) + "# longer, so that no cached bytecode fits\n")
    for name in [name for name in sys.modules if name.partition(".")[0] == "extra"]:
        del sys.modules[name]
    forget()
    name = {"schedule": "harmonic", "network": "skip", "metric": "top3_error"}[file]
    with pytest.raises(StudyError, match=rf"another experiment: the code of {name}: "):
        run_pipeline(parse_study(GRID, name="s", where="s.toml"), into="run")


@pytest.mark.parametrize(
    ("table", "name"),
    [
        ('[space.schedule]\nvalues = ["constant", "warmup(1, then=harmonic)"]\n', "harmonic"),
        ('[space."network.kind"]\nvalues = ["mlp", "skip"]\n', "skip"),
        ('[polish]\nschedules = ["constant", "harmonic(2)"]\nkeep = 1\nrepeats = 2\n', "harmonic"),
    ],
)
def test_plug_ins_that_only_the_search_names_belong_to_the_experiment(here: Path, table: str, name: str) -> None:
    text = GRID.replace(TOP3, "").replace('[network]\nkind = "skip"\n', "")
    text = text.replace('schedule = "harmonic(by=0.5)"\n', "")
    text = text.replace('["grid"]', '["grid", "polish"]') if "polish" in table else text
    study = parse_study(text + table, name="s", where="s.toml")
    code = identity_of(study, study.objective())["objective"]["own_code"]
    assert list(code) == [name]
    assert code[name].startswith("extra 1.0 ")
    plain = parse_study(text, name="s", where="s.toml")
    assert "own_code" not in identity_of(plain, plain.objective())["objective"]


def test_another_version_of_a_plug_in_is_another_experiment(here: Path) -> None:
    run_pipeline(parse_study(GRID, name="s", where="s.toml"), into="run")
    install(here.parent / "site-packages", version="1.1")
    with pytest.raises(StudyError, match=r'the code of harmonic: "extra 1\.0 .*" -> "extra 1\.1 '):
        run_pipeline(parse_study(GRID, name="s", where="s.toml"), into="run")


def test_a_plug_in_network_takes_arguments_and_refuses_unknown_names(here: Path) -> None:
    text = STUDY.replace('kind = "skip"', 'kind = "skip"\narguments = {gain = 2}')
    assert parse_study(text, name="s", where="s.toml").objective()
    with pytest.raises(ObjectiveError, match='network kind "skp" is unknown; did you mean "skip"'):
        run_pipeline(parse_study(STUDY.replace('"skip"', '"skp"'), name="s", where="s.toml"))
    text = GRID.replace(TOP3, 'metric = "top3_eror"\n')
    with pytest.raises((StudyError, ObjectiveError), match='did you mean "top3_error"'):
        run_pipeline(parse_study(text, name="s", where="s.toml"))


def test_metric_of_a_plug_in_may_be_named_in_its_own_table(here: Path) -> None:
    text = GRID.replace(TOP3, "")
    named = parse_study(
        text + '[metric]\nname = "top3_error"\ndirection = "minimize"\nunit = "share"\n', name="s", where="s.toml"
    )
    result = run_pipeline(named)
    assert (result.results.metric.name, result.results.metric.unit) == ("top3_error", "share")


def test_broken_parts_of_a_plug_in_are_one_sentence(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = dict.fromkeys(PARTS, "broken = extra.nowhere:Thing")
    install(here.parent / "site-packages", **broken)
    for change in (
        "search.stages=['broken']",
        "training.schedule=broken",
        "network.kind=broken",
        "training.metric=broken",
        "run.engine=broken",
    ):
        assert main(["run", "grid.toml", "--quiet", "--set", change]) == 2, change
        error = capsys.readouterr().err
        assert "cannot be imported (ModuleNotFoundError: No module named 'extra.nowhere')" in error
        assert error.count("\n") == 1
    for command in (["status", "broken://x"], ["broken"], ["broken", "--any", "thing"]):
        assert main(command) == 2
        assert "of the package extra 1.0 cannot be imported" in capsys.readouterr().err
    assert main(["run", "grid.toml"]) == 0  # a figure that is broken costs no report
    assert "cannot be imported" in (here / "runs" / "plugged" / "report.html").read_text()
    with pytest.raises(StudyError, match="cannot be imported"):
        load_run("runs/plugged").figures["broken"]
    assert main(["count", "runs/plugged"]) == 0  # nor does a command that is broken cost another


def test_engine_that_is_none_or_cannot_do_what_is_asked_is_one_sentence(here: Path) -> None:
    install(here.parent / "site-packages", engines="none = extra.command:add_arguments\nodd = extra.stage:FirstCell")
    with pytest.raises(StudyError, match="the engine room ends no training"):
        open_engine("room://attic", timeout=1.0)
    with pytest.raises(StudyError, match='engine "none" cannot be opened'):
        open_engine("none")
    with pytest.raises(StudyError, match='engine "odd": FirstCell of a plug-in has no n_workers, run, __enter__'):
        open_engine("odd")
    with pytest.raises(StudyError, match='not "rom"; did you mean "room"'):
        open_engine("rom")


def test_engine_that_brings_nothing_back_ends_the_run(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = importlib.import_module("extra.engine").Room
    monkeypatch.setattr(room, "run", lambda self, *given: None)
    with pytest.raises(StudyError, match="the engine returned no trial"):
        run_pipeline(Space.parse({"x": [1, 2]}), objective=lambda params, seed, epochs: 0.5, engine="room")


def test_no_package_replaces_what_ships(here: Path) -> None:
    shipped = {
        "stages": "grid = extra.stage:FirstCell",
        "schedules": "step = extra.schedule:Harmonic",
        "networks": "mlp = extra.network:skip",
        "metrics": "accuracy = extra.metric:top3_error",
        "engines": "local = extra.engine:Room",
        "commands": "status = extra.command",
    }
    install(here.parent / "site-packages", **shipped)
    text = GRID.replace('"skip"', '"mlp"').replace("harmonic(by=0.5)", "step").replace(TOP3, "")
    text = text.replace("room://attic", "local")
    (here / "shipped.toml").write_text(text)
    assert main(["run", "shipped.toml", "--quiet"]) == 0
    result = load_run("runs/plugged")
    assert "extra" not in str(dict(result.results.study))
    assert "room" not in next(iter(result.trials)).provenance
    assert result.results.metric.name == "accuracy"
    assert "extra.engine" not in sys.modules
    assert main(["status", "runs/plugged"]) == 0
    assert "extra.command" not in sys.modules


def test_damaged_entry_points_of_one_package_cost_no_other(here: Path) -> None:
    info = here.parent / "site-packages" / "odd-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: odd\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[zonesearch.schedules]\nno equals sign\n")
    forget()
    with pytest.warns(UserWarning, match="entry points of the package odd cannot be read"):
        assert "harmonic" in registered("schedules")


def test_contributing_says_how_to_add_each_kind() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    for kind in GROUPS:
        assert re.search(rf"^\| .*`{re.escape(GROUPS[kind])}`", text, flags=re.MULTILINE), kind
    for file in re.findall(r"`(zonesearch/[\w/]+\.py)`", text):
        path = ROOT / file
        assert path.parent.is_dir() if "NAME" in file else path.is_file(), file
    for table, file in re.findall(r"`(\w+)` in `(zonesearch/[\w/]+\.py)`", text):
        assert re.search(rf"^{table}\b", (ROOT / file).read_text(), flags=re.MULTILINE), table
    assert {"local", "dask"} == set(ENGINES)
    assert set(PARTS) | {"lines", "objectives"} == set(GROUPS)
    assert len(set(COMMANDS)) == len(COMMANDS)
