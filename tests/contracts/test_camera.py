"""Both launchers keep the contract, and the contract catches launchers that do not."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import ClassVar

import pytest

from plexus.adapters.camera.ffmpeg import FfmpegLauncher
from plexus.adapters.camera.memory import MemoryLauncher, MemoryProcess, Reel
from plexus.domain.errors import DeliveryError
from plexus.ports.camera import CameraLauncher
from plexus.testing.contracts import failures
from plexus.testing.contracts.camera import ERROR, OUTPUT, CameraContract
from tests.support import cameraprogram


class TestFfmpegLauncher(CameraContract):
    def make(self) -> CameraLauncher:
        return FfmpegLauncher(sys.executable)

    def make_missing(self) -> CameraLauncher:
        return FfmpegLauncher("no-such-program-anywhere")

    def ending(self) -> Sequence[str]:
        return cameraprogram.ending()

    def endless(self) -> Sequence[str]:
        return cameraprogram.endless()


class ByArgument(MemoryLauncher):
    """Plays what the arguments say, so that one launcher serves the whole suite."""

    def __call__(self, arguments: Sequence[str]) -> MemoryProcess:
        self._reels = (Reel(OUTPUT, ERROR, endless=arguments == ["endless"]),)
        return super().__call__(arguments)


class TestMemoryLauncher(CameraContract):
    def make(self) -> CameraLauncher:
        return ByArgument()

    def make_missing(self) -> CameraLauncher:
        return MemoryLauncher(installed=False)

    def ending(self) -> Sequence[str]:
        return ["ending"]

    def endless(self) -> Sequence[str]:
        return ["endless"]


class Sharing(ByArgument):
    """Gives out the process that is running, whoever asks."""

    running: ClassVar[list[MemoryProcess]] = []

    def __call__(self, arguments: Sequence[str]) -> MemoryProcess:
        self.running[:] = [process for process in self.running if not process.stdout.closed]
        self.running.extend([] if self.running else [super().__call__(arguments)])
        return self.running[0]


class Mute(ByArgument):
    """Forgets what the process said."""

    def __call__(self, arguments: Sequence[str]) -> MemoryProcess:
        process = super().__call__(arguments)
        process.error = lambda: ""  # type: ignore[method-assign]
        return process


class OnceOnly(ByArgument):
    """Cannot be stopped twice."""

    def __call__(self, arguments: Sequence[str]) -> MemoryProcess:
        process = super().__call__(arguments)
        stop = process.stop

        def strict(grace_s: float = 0.0) -> None:
            if process.stopped:
                raise ProcessLookupError
            stop(grace_s)

        process.stop = strict  # type: ignore[method-assign]
        return process


class Truncating(ByArgument):
    """Loses the last byte."""

    def __call__(self, arguments: Sequence[str]) -> MemoryProcess:
        process = super().__call__(arguments)
        whole = process.stdout.read
        process._stdout.read = lambda size=-1: whole(size or -1)[:-1]  # type: ignore[method-assign]
        return process


class Vague(ByArgument):
    """Says only that something went wrong."""

    def __call__(self, arguments: Sequence[str]) -> MemoryProcess:
        raise DeliveryError("something went wrong")


TWICE = "test_stopping_it_twice_or_after_its_end_is_fine"
READ = "test_what_it_writes_is_read_up_to_its_end"
EARLY = "test_what_it_writes_is_there_before_its_end"
OWN = "test_every_call_starts_a_process_of_its_own"
SAID = "test_what_it_said_last_is_known_after_its_end"
MISSING = "test_a_program_that_is_not_there_is_a_configuration_error"


@pytest.mark.parametrize(
    ("broken", "caught"),
    [
        (Sharing, {OWN}),
        (Mute, {SAID}),
        (OnceOnly, {TWICE, SAID, "test_stopping_it_ends_its_output_for_a_reader_that_waits"}),
        (Truncating, {READ, EARLY, OWN}),
    ],
)
def test_the_contract_fails_a_launcher_that_is(broken: type[ByArgument], caught: set[str]) -> None:
    class Suite(TestMemoryLauncher):
        def make(self) -> CameraLauncher:
            return broken()

    assert set(failures(Suite)) == caught


def test_the_contract_fails_a_launcher_that_does_not_say_what_is_missing() -> None:
    class Suite(TestMemoryLauncher):
        def make_missing(self) -> CameraLauncher:
            return Vague()

    assert set(failures(Suite)) == {MISSING}
