"""The pytest plugin, loaded by pytest wherever this package is installed: two fixtures, free for who uses neither.

Nothing but pytest is imported at module level, and Plexus itself only inside a fixture.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from plexus.adapters.clock.manual import ManualClock


@pytest.fixture
def plexus_quiet_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty home for Plexus: no key, host or buffer of the person at the keyboard, and no status lines.

    Every `PLEXUS_…` variable is taken away for the time of the test; `PLEXUS_HOME` names the directory that is returned
    and `PLEXUS_QUIET` is 1.
    """
    path = tmp_path_factory.mktemp("plexus-home")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("PLEXUS_")]:
            patch.delenv(name)
        patch.setenv("PLEXUS_HOME", str(path))
        patch.setenv("PLEXUS_QUIET", "1")
        yield path


@pytest.fixture
def manual_clock() -> ManualClock:
    """A clock that stands still until the test moves it; hand it to `Plexus(clock=…)`."""
    from plexus.adapters.clock.manual import ManualClock

    return ManualClock()
