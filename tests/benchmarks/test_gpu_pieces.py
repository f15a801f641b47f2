"""The script that trains the large studies piece by piece."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "gpu_pieces.sh"


def piece(tmp_path: Path, program: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """One piece with a stand-in for zonesearch, which writes down how it was called."""
    stand_in = tmp_path / "zonesearch"
    stand_in.write_text(f"#!{sys.executable}\nimport sys, time\nopen({str(tmp_path / 'calls')!r}, 'a').write("
                        f"' '.join(sys.argv[1:]) + '\\n')\n{program}\n")  # fmt: skip
    stand_in.chmod(0o755)
    environment = {**os.environ, "ZONESEARCH": str(stand_in), "RUNS": str(tmp_path), **settings}
    return subprocess.run([SCRIPT], env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_a_piece_ends_in_time_and_says_what_goes_on(tmp_path: Path) -> None:
    found = piece(tmp_path, "time.sleep(50)", PIECE="1", STUDIES="digits mnist_fnn")
    assert found.returncode == 75
    assert "digits goes on" in found.stdout
    assert (tmp_path / "calls").read_text() == f"run studies/digits.toml --into {tmp_path}/digits\n"


def test_finished_studies_are_passed_over_and_a_failure_is_shown(tmp_path: Path) -> None:
    found = piece(tmp_path, "", STUDIES="digits mnist_fnn")
    assert found.returncode == 0
    assert "all is done: digits mnist_fnn" in found.stdout
    assert len((tmp_path / "calls").read_text().splitlines()) == 2
    assert piece(tmp_path, "sys.exit(2)", STUDIES="digits mnist_fnn").returncode == 2


def test_its_studies_are_there() -> None:
    text = SCRIPT.read_text().partition("STUDIES=${STUDIES:-")[2].partition("}")[0]
    assert [name for name in text.split() if not (ROOT / "studies" / f"{name}.toml").is_file()] == []
