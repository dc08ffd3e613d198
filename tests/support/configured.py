"""Settings as they are loaded from a directory and an environment of the test's own."""

from __future__ import annotations

from pathlib import Path

from plexus.config import Settings, load_settings

KEY = "plx_a_canary_that_must_never_be_shown_0123"


def load(directory: Path, environ: dict[str, str] | None = None, **arguments: object) -> Settings:
    """The settings of `directory`, where no variable is set but those of `environ`."""
    return load_settings(environ={"PLEXUS_HOME": str(directory), **(environ or {})}, **arguments)  # type: ignore[arg-type]


def write(directory: Path, content: str) -> Path:
    """A config file that holds `content`."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "config.json"
    path.write_text(content)
    return path
