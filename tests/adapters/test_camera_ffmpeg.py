"""Real child processes: bounded memory for what they say, and an end for those that will not end."""

from __future__ import annotations

import errno
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from plexus.adapters.camera.ffmpeg import KEPT_LINES, FfmpegLauncher
from plexus.domain.errors import ConfigurationError, DeliveryError
from plexus.testing.contracts.camera import OUTPUT
from tests.support import cameraprogram
from tests.support.waiting import eventually


def test_a_missing_program_is_named_with_the_way_to_get_it() -> None:
    with pytest.raises(ConfigurationError, match=r"ffmpeg-that-is-not-there is not installed.*apt install ffmpeg"):
        FfmpegLauncher("ffmpeg-that-is-not-there")(["-version"])


def test_a_file_that_is_no_program_is_named(tmp_path: Path) -> None:
    script = tmp_path / "camera"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    with pytest.raises(ConfigurationError, match=f"{script} cannot be run: No such file"):
        FfmpegLauncher(str(script))([])


def test_a_system_that_is_out_of_processes_may_have_some_later(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    with pytest.raises(DeliveryError, match="cannot be started now: Resource temporarily unavailable"):
        FfmpegLauncher(sys.executable)([])


def test_arguments_reach_the_program_as_they_are_and_no_shell_sees_them(tmp_path: Path) -> None:
    arguments = ["-c", "import sys; sys.stdout.write(repr(sys.argv[1:]))", "; touch x", "$(id)", "a b", "'\""]
    process = FfmpegLauncher(sys.executable)(arguments)
    with process.stdout as pipe:
        assert pipe.read().decode() == repr(arguments[2:])
    process.stop()


def test_a_program_that_does_not_listen_is_killed_after_its_grace() -> None:
    process = FfmpegLauncher(sys.executable)(cameraprogram.deaf())
    with process.stdout as pipe:
        assert pipe.read(len(OUTPUT)) == OUTPUT
        process.stop(0.2)
        assert pipe.read() == b""
    assert process._process.returncode == -9


def test_whoever_is_in_a_hurry_does_not_wait_for_somebody_elses_patience() -> None:
    process = FfmpegLauncher(sys.executable)(cameraprogram.deaf())
    with process.stdout as pipe:
        assert pipe.read(len(OUTPUT)) == OUTPUT
        patient = threading.Thread(target=process.stop, args=(3.0,))
        patient.start()
        eventually(process._lock.locked)
        began = time.monotonic()
        process.stop(0.1)
        assert time.monotonic() - began < 2.0
        assert patient.is_alive()
        patient.join(10.0)
    assert process._process.returncode == -9


def test_a_program_that_complains_without_end_goes_on_and_its_last_words_are_kept() -> None:
    process = FfmpegLauncher(sys.executable)(cameraprogram.chatty(20_000))
    with process.stdout as pipe:
        assert pipe.read() == OUTPUT
    process.stop()
    said = process.error().splitlines()
    assert (len(said), said[-1]) == (KEPT_LINES, "complaint 19999")
