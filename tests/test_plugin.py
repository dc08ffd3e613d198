"""The public pytest plugin, as a project finds it that has `plexus-python` installed and nothing else of ours."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TESTS = """
import os
from pathlib import Path

def test_the_home_is_empty_and_quiet(plexus_quiet_home):
    assert list(plexus_quiet_home.iterdir()) == []
    assert os.environ["PLEXUS_HOME"] == str(plexus_quiet_home)
    assert os.environ["PLEXUS_QUIET"] == "1"
    assert "PLEXUS_API_KEY" not in os.environ

def test_the_environment_comes_back_after_a_test():
    assert os.environ["PLEXUS_API_KEY"] == "plx_of_the_developer"
    assert "PLEXUS_QUIET" not in os.environ

def test_a_client_in_it_knows_no_key(plexus_quiet_home):
    from plexus.config import load_settings
    assert not load_settings().api_key

def test_the_clock_moves_when_it_is_told(manual_clock):
    before = manual_clock.tick()
    assert manual_clock.tick() == before
    manual_clock.advance(1.5)
    assert manual_clock.tick() - before == 1_500_000_000
"""


def test_its_fixtures_are_there_without_a_line_of_configuration(tmp_path: Path) -> None:
    (tmp_path / "test_theirs.py").write_text(TESTS)
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_theirs.py"],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if not name.startswith("PLEXUS_")}
        | {"PLEXUS_API_KEY": "plx_of_the_developer"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout
    assert "4 passed" in ran.stdout
