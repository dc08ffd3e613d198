"""The camera-process port: a child process whose output is a stream of JPEGs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO, Protocol

STOP_S = 2.0
"""How long a process may take to end by itself, when nobody is in a hurry."""


class CameraProcess(Protocol):
    """One running process.

    Contract: `stdout` ends when the process ends, also when another thread ends it with `stop`; whoever reads it
    closes it.
    """

    @property
    def stdout(self) -> BinaryIO:
        """The stream to read frames from."""
        ...

    def stop(self, grace_s: float = STOP_S) -> None:
        """End it and wait for its end, from any thread; never raises, twice is fine.

        It may take `grace_s` seconds to end by itself; then it is killed.
        """
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
