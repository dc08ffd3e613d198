"""The simulation finds what is planted: a judge that never finds anything proves nothing."""

from __future__ import annotations

import pytest

from tests.simulation.bugs import MUTATIONS, PLANTED, Bug
from tests.simulation.episode import Result
from tests.simulation.runner import run_all
from tests.simulation.surgery import Edit, changed


def first_failure(bug: Bug) -> Result | None:
    """The first episode that fails as it must while this bug is in the shipped code."""
    with changed(bug.edits):
        results = run_all(range(bug.start, bug.start + bug.within), 1)
        return next((result for result in results if any(words in result.broken for words in bug.words)), None)


def _name(bug: Bug) -> str:
    return bug.name.replace(" ", "-")


@pytest.mark.parametrize("bug", PLANTED, ids=_name)
def test_a_planted_bug_is_found(bug: Bug) -> None:
    assert first_failure(bug) is not None, f"{bug.name}: not found within {bug.within} episodes from {bug.start}"


@pytest.mark.parametrize("bug", MUTATIONS, ids=_name)
def test_a_changed_line_is_found(bug: Bug) -> None:
    assert first_failure(bug) is not None, f"{bug.name}: not found within {bug.within} episodes from {bug.start}"


def test_the_shipped_code_is_as_it_was_after_a_bug_was_in_it() -> None:
    episodes = range(1, 41)
    before = list(run_all(episodes, 1))
    with changed(PLANTED[0].edits):
        assert list(run_all(episodes, 1)) != before
    assert list(run_all(episodes, 1)) == before


def test_an_edit_of_text_that_is_not_there_is_an_error() -> None:
    with (
        pytest.raises(LookupError, match="choose the line anew"),
        changed([Edit(PLANTED[0].edits[0].module, "no", "x")]),
    ):
        pass
