"""Every example runs, where what it needs is installed, and the list of them is whole."""

from __future__ import annotations

import gc
import os
import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
NEEDS = {
    "lightning_callback.py": ("lightning",),
    "keras_callback.py": ("keras",),
    "huggingface.py": ("transformers", "accelerate"),
    "trackers.py": ("tensorboard",),
}
SAYS = {
    "optuna_sampler.py": "zones around [",
    "trackers.py": "n_new=0",
    "huggingface.py": "hyperparameter_search: {",
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", sorted(file.name for file in EXAMPLES.glob("*.py")))
def test_example_runs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if name == "keras_callback.py":
        monkeypatch.setenv("KERAS_BACKEND", os.environ.get("KERAS_BACKEND", "torch"))
    for needed in NEEDS.get(name, ()):
        pytest.importorskip(needed, reason=f"{needed} is not installed", exc_type=ImportError)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(sys, "argv", [name])
    monkeypatch.syspath_prepend(str(EXAMPLES))
    gc.freeze()  # accelerate collects garbage several times a training, half a second each among all these modules
    try:
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    finally:
        gc.unfreeze()
    said = capsys.readouterr().out
    assert SAYS.get(name, "finalist") in said
    assert name == "optuna_sampler.py" or "no verdict" not in said  # an import repeats nothing


def test_every_example_stands_in_the_list_and_says_what_it_shows() -> None:
    listed = (EXAMPLES / "README.md").read_text()
    for file in EXAMPLES.iterdir():
        if file.suffix in (".py", ".toml"):
            assert f"]({file.name})" in listed, file.name
    assert "examples/README.md" in (ROOT / "README.md").read_text()
