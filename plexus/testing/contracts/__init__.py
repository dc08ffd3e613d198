"""Contract suites: what every adapter of a port must do, as tests that any project can run on its own adapter.

    from plexus.testing.contracts.buffer import BufferContract

    class TestMyBuffer(BufferContract):
        def make(self) -> Buffer:
            return MyBuffer()

pytest collects the inherited `test_…` methods. `failures` runs a suite without pytest, which is how the suites
themselves are tested: each must fail an adapter that is broken on purpose.
"""

from __future__ import annotations

from typing import Any


class Contract:
    """The base of the suites: each test asks `make` for a fresh adapter and returns what it made with `dispose`."""

    def make(self) -> Any:
        """A fresh, empty adapter; a suite's user overrides this."""
        raise NotImplementedError(f"{type(self).__name__} must say how to make its adapter")

    def dispose(self, adapter: Any) -> None:
        """Clean up after a test; called by the suites in a `finally`."""
        close = getattr(adapter, "close", None)
        if callable(close):
            close()


def failures(suite: type[Contract]) -> dict[str, BaseException]:
    """Run every test of `suite`; returns what failed, by the test's name."""
    failed: dict[str, BaseException] = {}
    for name in sorted(dir(suite)):
        if name.startswith("test_"):
            try:
                getattr(suite(), name)()
            except (Exception, AssertionError) as exc:  # noqa: BLE001 - whatever a broken adapter raises is the finding
                failed[name] = exc
    return failed
