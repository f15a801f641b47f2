"""A table or key without effect is refused with one sentence, before anything is trained."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from zonesearch import Study, run_pipeline
from zonesearch.errors import SpaceError, StudyError
from zonesearch.study.files import parse_study
from zonesearch.study.recipe_settings import SETTINGS, TECHNIQUE_TABLES
from zonesearch.training import techniques
from zonesearch.training.settings import Settings

FUNCTION = """
[space.width]
low = 4
high = 64
scale = "log"
[objective]
function = "own_objectives:plain"
[training]
epochs = 2
"""
RECIPE = '[space]\nlearning_rate = [0.001, 0.01]\n[data]\nname = "digits"\n'


def read(text: str) -> None:
    study = parse_study(text, name="s", where="s.toml")
    if "[objective]" not in text:
        study.objective()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("[network]\nwidth = 8\n", r"\[network\] has no effect beside \[objective\] function"),
        ("[optimizer]\nname = 'sgd'\n", r"\[optimizer\] has no effect"),
        ("[data]\nname = 'digits'\n", r"\[data\] has no effect"),
        ("[augmentation]\npad = 2\n", r"\[augmentation\] has no effect"),
        ("[averaging]\n", r"\[averaging\] has no effect"),
        ("[evolution]\n", r"\[evolution\] has no effect"),
        ("[gradient_noise]\n", r"\[gradient_noise\] has no effect"),
        ("[noise_scale]\n", r"\[noise_scale\] has no effect"),
        ("[early_stopping]\npatience = 2\n", r"\[early_stopping\] has no effect"),
        ("[arms.a]\n", r"\[arms\] has no effect"),
        ("[data]\n[network]\n[optimizer]\n", r"\[data\], \[network\] and \[optimizer\] have no effect"),
        (
            "[metric]\nname = 'rmse'\ndirektion = 'minimize'\n",
            r'\[metric\] has no key "direktion"; did you mean "direc',
        ),
        ("[metric]\nunits = 'ms'\n", r'\[metric\] has no key "units"; did you mean "unit"'),
        ("[metric]\ndirection = 'down'\n", r'direction of a metric is "maximize" or "minimize", not \'down\''),
        ("[serach]\nseeds = 2\n", r'unknown key "serach"; did you mean "search"'),
        ("[search]\nseed = 2\n", r'\[search\] has no key "seed"; did you mean "seeds"'),
        ("[search]\nseeds = '2'\n", r"\[search\] seeds must be a whole number, at least 1, or a table .*, not '2'"),
        ("[search]\nseeds = true\n", r"\[search\] seeds must be a whole number, at least 1, or a table .*, not True"),
        ("[search]\nseeds = 0\n", r"\[search\] seeds must be a whole number, at least 1, or a table .*, not 0"),
        ("[search]\nstages = 'grid'\n", r"\[search\] stages must be a list of texts, not 'grid'"),
        ("[search]\nstages = ['coordinate']\nlevel = 0.9\n", r"\[search\] level has no effect"),
        ("[search]\nreading = 'worst'\n", r"\[search\] reading"),
        ("[search]\nbudget = {days = 2}\n", r'\[search\] budget has no key "days"'),
        ("[run]\nworkers = 0\n", r"\[run\] workers must be a whole number, at least 1, not 0"),
        ("[run]\nworker = 2\n", r'\[run\] has no key "worker"; did you mean "workers"'),
        ("[polish]\nkeep = 2.0\n", r"\[polish\] keep must be a whole number, not 2.0"),
        ("[polish]\nrace = 1\n", r"\[polish\] race must be true or false, not 1"),
        ("[polish]\nschedules = [1]\n", r"\[polish\] schedules must be a list of texts, not \[1\]"),
        (
            "[grid]\nrungs = ['5']\n",
            r"\[grid\] rungs must be rising whole numbers of epochs .* not \['5'\]",
        ),
        ("[surrogate]\nn_trainings = 5\n", r'\[search\] stages does not name the stage "surrogate"'),
        ("[polish]\nkind = 3\n", r"\[polish\] kind must be a string, not 3"),
    ],
)
def test_a_table_that_a_function_does_not_read_is_refused(more: str, said: str) -> None:
    with pytest.raises(StudyError, match=said) as caught:
        read(FUNCTION + more)
    assert str(caught.value).startswith("s.toml: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["batch = 32", 'schedule = "cosine"', 'metric = "rmse"', 'direktion = "x"'])
def test_training_keys_beside_a_function_are_refused(key: str) -> None:
    with pytest.raises(StudyError, match=rf"\[training\] {key.split()[0]} has no effect beside"):
        read(FUNCTION + key + "\n")


@pytest.mark.parametrize(
    ("objective", "said"),
    [
        ('function = "plain"', "\"package.module:function\", not 'plain'"),
        ("function = 3", r"\[objective\] function must be a string, not 3"),
        ('function = "a:b"\nargument = {}', 'no key "argument"; did you mean "arguments"'),
        ('function = "a:b"\narguments = [1]', r"arguments must be a table, not \[1\]"),
        ('function = "a:b"\nversion = 1', r"version must be a string, not 1"),
        ('function = "a:b"\nwhole = "yes"', r"whole must be true or false, not 'yes'"),
        ('kind = "function"', "function must be .* and is missing"),
        ('kind = "pytorch"\nfunction = "a:b"', 'kind = "pytorch" or has a function, not both'),
        ("n_validation = 100", "is for a function, and none is given"),
        ("n_validaton = 100", 'did you mean "n_validation"'),
        ('kind = "pytroch"', 'did you mean "pytorch"'),
    ],
)
def test_an_objective_table_that_makes_no_sense_is_refused(objective: str, said: str) -> None:
    with pytest.raises(StudyError, match=said):
        parse_study(f"[space]\nx = [1, 2]\n[objective]\n{objective}\n", name="s", where="s.toml").objective()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("[network]\nchannels = 8\n", r'\[network\] channels has no effect: a network of kind "mlp" does not read it'),
        ('[network]\nkind = "cnn"\nwidth = 8\n', r'width has no effect: a network of kind "cnn"'),
        ('[network]\nkind = "backbone"\ndepth = 2\n', r'depth has no effect: a network of kind "backbone"'),
        ('[network]\ntune = "head"\n', r"tune has no effect"),
        ("[network]\narguments = { a = 1 }\n", r"arguments has no effect: they are for your own network"),
        ("[network]\nwidths = [4, 4]\nwidth = 8\n", r"width has no effect: \[network\] widths gives"),
        ("[network]\nwdith = 8\n", r'\[network\] has no key "wdith"; did you mean "width"'),
        ("[optimizer]\nmomentum = 0.9\n", r'momentum has no effect: the optimizer "adam" does not read it'),
        ('[optimizer]\nname = "sgd"\nbeta1 = 0.8\n', r'beta1 has no effect: the optimizer "sgd"'),
        (
            "[optimizer]\nlearning_rate = 0.1\n",
            r'\[optimizer\] learning_rate has no effect beside the axis "learning_r',
        ),
        ("[training]\nreference_batch = 32\n", r"reference_batch has no effect: the rate is not tied"),
        ("[training]\nepoch = 3\n", r'\[training\] has no key "epoch"'),
        ('[training]\nbatch = "64"\n', r"\[training\] batch must be a whole number, not '64'"),
        ('[augmentation]\npadding = "reflect"\n', r"padding has no effect: there is no padding"),
        ("[augmentation]\ndraws = 4\n", r"draws has no effect: nothing is augmented; set pad or flip"),
        ("[early_stopping]\nleast = 3\n", r"\[early_stopping\] has no effect without a rule"),
        ("[averaging]\nkeep = 3\n", r"\[averaging\] keep has no effect: only an ensemble"),
        ('[arms.a]\ntraining.schedule = "cosine"\n', r'\[arms\] has no effect: there is no axis "arm"'),
    ],
)
def test_a_key_that_a_recipe_does_not_read_is_refused(more: str, said: str) -> None:
    with pytest.raises(StudyError, match=said) as caught:
        read(RECIPE + more)
    assert str(caught.value).startswith("s.toml: ")


def test_an_arm_that_no_training_takes_is_refused() -> None:
    arms = '[space]\nwidth = [4, 8]\narm = ["slow", "fast"]\n[arms.slow]\n[arms.fsat]\noptimizer.learning_rate = 0.1\n'
    with pytest.raises(StudyError, match=r'\[arms.fsat\] has no effect: the axis "arm" never .*did you mean "fast"'):
        parse_study(arms, name="s", where="s.toml")
    parse_study(arms.replace("fsat", "fast"), name="s", where="s.toml")


def test_a_name_of_several_lines_is_refused() -> None:
    for name in ("a\\nb", "a\\n", "a\\u2028b"):
        with pytest.raises(StudyError, match="must be a single line"):
            parse_study(f'name = "{name}"\n[space]\nwidth = [4, 8]\n', name="s", where="s.toml")


@pytest.mark.parametrize("key", ['target = "y"', "size = 8", 'root = "here"', "arguments = { n = 3 }"])
def test_a_key_of_another_data_set_is_refused(key: str) -> None:
    with pytest.raises(StudyError, match=rf"\[data\] {key.split()[0]} has no effect"):
        read(RECIPE + key + "\n")


@pytest.mark.parametrize(
    ("axes", "said"),
    [
        ('width = [4, 8]\n"network.width" = [4, 8]', '"width" and "network.width" are two axes for one setting'),
        ('optimizer = ["sgd"]\n"optimizer.name" = ["adam"]', "are two axes for one setting"),
        ('width_1 = [4]\n"network.width_1" = [8]', "are two axes for one setting"),
        ('batch = [32]\n"training.batch" = [64]', "are two axes for one setting"),
        ("channels = [4, 8]", 'axis "channels" has no effect: a network of kind "mlp"'),
        ("momentum = [0.1, 0.9]", 'axis "momentum" has no effect: the optimizer "adam"'),
        ('"early_stopping.patience" = [2, 4]', "has no effect beside the axis"),
    ],
)
def test_an_axis_without_effect_is_refused(axes: str, said: str) -> None:
    more = "[early_stopping]\npatience = 3\n" if "early" in axes else ""
    with pytest.raises(StudyError, match=said):
        read(f"[space]\n{axes}\n{more}")


@pytest.mark.parametrize(
    "text",
    [
        '[space]\noptimizer = ["adam", "sgd"]\nmomentum = [0.1, 0.9]\n[network]\nwidth = 8\n',
        '[space]\nkind = ["mlp", "cnn"]\n[network]\nchannels = 4\nwidth = 8\n',
        '[space]\narm = ["a", "b"]\n[optimizer]\nmomentum = 0.9\n[arms.a]\n[arms.b]\noptimizer.name = "sgd"\n',
        '[space]\n"early_stopping.patience" = [2, 4]\n[early_stopping]\n',
        "[space]\npad = [0, 2]\n[augmentation]\npadding = 'reflect'\n",
        "[space]\nwidth_1 = [4, 8]\nwidth_2 = [4, 8]\n[network]\nwidths = [4, 4]\n",
        "[space]\nwidth = [4, 8]\n[network]\nkind = 'own:network'\nchannels = 3\narguments = { a = 1 }\n",
    ],
)
def test_what_some_training_reads_is_no_key_without_effect(text: str) -> None:
    parse_study(text, name="s", where="s.toml")


def test_the_keys_of_a_recipe_are_those_of_its_settings() -> None:
    for part in dataclasses.fields(Settings):
        assert set(SETTINGS[part.name]) == {field.name for field in dataclasses.fields(part.default)}  # type: ignore[arg-type]
    assert set(TECHNIQUE_TABLES) == set(techniques.TECHNIQUE_TABLES)


def test_an_axis_is_read_as_strictly() -> None:
    with pytest.raises(SpaceError, match=r's.toml: \[space\] axis "width": unknown key "lo"; did you mean "low"'):
        read("[space.width]\nlo = 4\nhigh = 8\n")


STAGES = """
[space.width]
low = 4
high = 64
scale = "log"
[objective]
function = "own_objectives:plain"
[training]
epochs = 2
"""


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("[polish]\nown_schedule = 'cosine'\n", r"\[polish\] own_schedule has no effect"),
        ("[grid]\nwiden = 2\n", r"\[grid\] widen has no effect: no axis has limit_low or limit_high"),
        ("[grid]\nrungs = [1, 2]\n", r"\[grid\] rungs: 2 has no effect, for all trainings end after 2"),
        ("[search]\nstages = ['polish']\n", r'"polish" begins from zones or candidates, but it comes first'),
        ("[search]\nstages = ['interval']\n", r'"interval" begins from zones, but it comes first'),
        (
            "[search]\nstages = ['grid', 'i', 'j']\n[i]\nkind = 'interval'\n[j]\nkind = 'interval'\n",
            r'"j" begins from zones, but the stage "i" before it hands on candidates',
        ),
        ("[search]\nstages = ['grid', 'polish', 'interval']\n", r'stage "polish" before it hands on a verdict'),
        ("[search]\nstages = ['grid', 'grid']\n", r'names "grid" 2 times; .* kind = "grid"'),
    ],
)
def test_stages_and_keys_that_do_not_go_together_are_refused(more: str, said: str) -> None:
    with pytest.raises(StudyError, match=said) as caught:
        read(STAGES + more)
    assert str(caught.value).startswith("s.toml: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("stages", [["polish"], ["interval", "polish"], ["grid", "grid"], ["grid", "polish", "polish"]])
def test_stages_that_do_not_go_together_are_refused_in_python(stages: list[str]) -> None:
    with pytest.raises(StudyError, match=r"\[search\] stages"):
        run_pipeline({"x": [0, 1, 2]}, objective=lambda params: 0.5, stages=stages)


@pytest.mark.parametrize("name", ["..", ".", " . ", "a/b", ""])
def test_a_name_that_names_no_folder_is_refused(name: str) -> None:
    with pytest.raises(StudyError, match="name must be a string without slashes"):
        read(f'name = "{name}"\n' + STAGES)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (STAGES.replace("plain", 'plain"\nn_validation = 0 # "'), "n_validation must be at least 1, not 0"),
        (
            STAGES.replace("plain", 'plain"\nn_validation = 9 # "') + "[metric]\nname = 'rmse'\n",
            "n_validation has no effect: rmse is no share",
        ),
        (
            RECIPE + "[training]\nschedule = 'cosine'\n[polish]\nown_schedule = 'constant'\n",
            'own_schedule = "constant", but \\[training\\] schedule = "cosine"',
        ),
        (
            "[space]\nschedule = ['cosine', 'constant']\n[polish]\nschedules = ['cosine']\n",
            'schedules and the axis "schedule" set the same thing',
        ),
        (
            "[space]\noptimizer = ['adam', 'sgd']\n"
            "momentum = {low = 0.1, high = 0.9, row = 2, when = {optimizer = 'adam'}}\n",
            'axis "momentum" has no effect: the optimizer "adam"',
        ),
        (RECIPE + "[network]\nkind = 'backbone'\ntune = 'head'\nbody_rate = 0.1\n", "body_rate has no effect"),
        (RECIPE + "[optimizer]\nname = 'sgd'\ndampening = 0.5\n", "sgd without momentum dampens nothing"),
        (RECIPE + "[optimizer]\nname = 'nesterov'\nnesterov = false\n", "nesterov has no effect"),
        (RECIPE + "[optimizer]\nname = 'momentum'\nmomentum = 0.0\n", "0 stands for the default, 0.9"),
        (
            "[space.momentum]\nlow = 0.0\nhigh = 0.9\nrow = 2\n[optimizer]\nname = 'momentum'\n",
            "0 stands for the default, 0.9",
        ),
    ],
)
def test_settings_that_contradict_or_switch_off_each_other_are_refused(text: str, said: str) -> None:
    with pytest.raises(StudyError, match=said):
        read(text)


@pytest.mark.parametrize(
    ("taken", "names", "n_cells"),
    [
        (["a", "b", "c"], ["arm", "optimizer.momentum"], 7),
        (["a", "c"], ["arm", "optimizer.momentum"], 4),
        (["b"], ["arm", "optimizer.momentum"], 3),
        (["c", "a"], ["arm", "optimizer.momentum"], 4),
        (["c"], ["arm"], 1),
    ],
)
def test_conditions_on_arms_that_a_narrowed_axis_does_not_take_are_idle(
    taken: list[str], names: list[str], n_cells: int
) -> None:
    momentum = {"low": 0.0, "high": 0.9, "row": 2, "when": {"arm": ["a", "b"]}}
    tables: dict[str, Any] = {
        "space": {"arm": taken, "optimizer.momentum": momentum},
        "search": {"stages": ["grid"]},
        "data": {"name": "digits"},
        "arms": {name: {"optimizer": {"name": "sgd"}} for name in "ab"} | {"c": {"optimizer": {"name": "adam"}}},
    }
    space = Study.from_tables(tables).space
    assert list(space.names) == names
    assert space.n_cells == n_cells
    momentum["when"] = {"arm": ["a", "bb"]}
    with pytest.raises(SpaceError, match="when asks for arm = 'bb', which is not one of its values"):
        Study.from_tables(tables)


def test_an_arm_of_a_narrowed_axis_is_idle_and_one_that_is_misspelt_is_refused() -> None:
    tables: dict[str, Any] = {
        "data": {"name": "digits"},
        "space": {"arm": ["a", "b c"], "width": [4, 8]},
        "arms": {"a": {"optimizer": {"name": "adam"}}, "b c": {"optimizer": {"name": "sgd", "momentum": 0.5}}},
    }
    narrowed = {**tables, "space": {"arm": ["a"], "width": [4, 8]}}
    excluded = {**tables, "constraints": {"expressions": ['arm == "a"']}}
    assert all(Study.from_tables(made).space.n_cells for made in (tables, narrowed, excluded))
    misspelt = {**tables, "space": {"arm": ["a", "bc"], "width": [4, 8]}}
    with pytest.raises(StudyError, match=r'\[arms\."b c"\] has no effect'):
        Study.from_tables(misspelt)


FIXED = "[space]\noptimizer = ['sgd', '{other}']\n{key} = {{low = 0.1, high = 0.9, when = {{optimizer = 'sgd'}}}}\n"


@pytest.mark.parametrize(("key", "other"), [("learning_rate", "adam"), ("momentum", "rmsprop")])
def test_a_value_beside_an_axis_that_does_not_apply_everywhere_is_for_the_other_trainings(key: str, other: str) -> None:
    read(FIXED.format(key=key, other=other) + f"[optimizer]\n{key} = 0.5\n")


def test_a_value_beside_an_axis_that_applies_wherever_it_is_read_is_refused() -> None:
    with pytest.raises(StudyError, match=r'\[optimizer\] momentum has no effect beside the axis "momentum"'):
        read(FIXED.format(key="momentum", other="adam") + "[optimizer]\nmomentum = 0.5\n")


def test_an_arm_may_have_a_value_of_its_own_where_the_axis_does_not_apply() -> None:
    space = "[space]\narm = ['a', 'b']\nlearning_rate = {low = 0.1, high = 0.9, when = {arm = 'a'}}\n"
    read(space + "[arms.a]\n[arms.b]\noptimizer.learning_rate = 0.3\n")
    with pytest.raises(StudyError, match=r'\[arms.a\] learning_rate has no effect beside the axis "learning_rate"'):
        read(space + "[arms.a]\noptimizer.learning_rate = 0.3\n[arms.b]\n")
