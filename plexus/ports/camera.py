"""The camera-process port: a child process whose output is a stream of JPEGs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO, Protocol


class CameraProcess(Protocol):
    """One running process.

    Contract: `stdout` ends when the process ends, also when another thread ends it with `stop`; whoever reads it
    closes it.
    """

    @property
    def stdout(self) -> BinaryIO:
        """The stream to read frames from."""
        ...

    def stop(self) -> None:
        """End it and wait for its end, from any thread; never raises, twice is fine."""
        ...

    def error(self) -> str:
        """The last lines that it wrote to its error stream, once it has ended."""
        ...


class CameraLauncher(Protocol):
    """Starts such a process from an argument list, never through a shell."""

    def __call__(self, arguments: Sequence[str]) -> CameraProcess:
        """Start it with these arguments, the program's own name left out.

        Raises ConfigurationError naming a program that is not there or cannot be run, DeliveryError when the system
        cannot start one now.
        """
        ...
