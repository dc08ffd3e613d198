"""What every launcher of camera processes must do."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from plexus.domain.errors import ConfigurationError
from plexus.ports.camera import CameraLauncher, CameraProcess
from plexus.testing.contracts import Contract

OUTPUT = b"\xff\xd8\xff\xda\x00\x02picture one\xff\xd9\xff\xd8\xff\xda\x00\x02picture two\xff\xd9"
ERROR = "the camera went away"
JOIN_S = 20.0


class CameraContract(Contract):
    """Override `make` and `make_missing`, and `ending` and `endless` with arguments for their kinds of process."""

    def make(self) -> CameraLauncher:
        """A launcher."""
        raise NotImplementedError(f"{type(self).__name__} must say how to make its launcher")

    def make_missing(self) -> CameraLauncher:
        """A launcher whose program is not there."""
        raise NotImplementedError(f"{type(self).__name__} must say how to make a launcher without its program")

    def ending(self) -> Sequence[str]:
        """Arguments with which a process writes OUTPUT, says ERROR on its error stream, and ends."""
        raise NotImplementedError(f"{type(self).__name__} must say how a process ends by itself")

    def endless(self) -> Sequence[str]:
        """Arguments with which a process writes OUTPUT and then nothing, and does not end by itself."""
        raise NotImplementedError(f"{type(self).__name__} must say how a process goes on for ever")

    @contextmanager
    def process(self, arguments: Sequence[str]) -> Iterator[CameraProcess]:
        """One process, ended and closed after the test."""
        started = self.make()(arguments)
        try:
            yield started
        finally:
            started.stop()
            started.stdout.close()

    def test_what_it_writes_is_read_up_to_its_end(self) -> None:
        with self.process(self.ending()) as process:
            assert process.stdout.read() == OUTPUT

    def test_what_it_writes_is_there_before_its_end(self) -> None:
        with self.process(self.endless()) as process:
            assert process.stdout.read(len(OUTPUT)) == OUTPUT

    def test_stopping_it_ends_its_output_for_a_reader_that_waits(self) -> None:
        rest: list[bytes] = []
        with self.process(self.endless()) as process:
            process.stdout.read(len(OUTPUT))
            reader = threading.Thread(target=lambda: rest.append(process.stdout.read()), daemon=True)
            reader.start()
            process.stop()
            reader.join(JOIN_S)
        assert rest == [b""]

    def test_stopping_it_twice_or_after_its_end_is_fine(self) -> None:
        with self.process(self.ending()) as process:
            process.stdout.read()
            process.stop()
            process.stop()

    def test_what_it_said_last_is_known_after_its_end(self) -> None:
        with self.process(self.ending()) as process:
            process.stdout.read()
            process.stop()
            assert ERROR in process.error()

    def test_every_call_starts_a_process_of_its_own(self) -> None:
        with self.process(self.ending()) as one, self.process(self.ending()) as other:
            assert one.stdout.read() == other.stdout.read() == OUTPUT

    def test_a_program_that_is_not_there_is_a_configuration_error(self) -> None:
        launch = self.make_missing()
        try:
            launch(self.ending())
        except ConfigurationError:
            return
        raise AssertionError("starting a program that is not there raised no ConfigurationError")
