"""The notebook of the examples runs from its first cell to its last, in a kernel, against a gateway that was filled.

Nothing of Jupyter, IPython or matplotlib is read from or written to the real home.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from mcap.reader import make_reader

from examples import recorded_hour
from plexus import Gateway
from tests.docs.pages import ROOT

PATH = ROOT / "examples" / "hour.ipynb"
HOUR_READINGS = 2 * recorded_hour.HOUR_S
RUN_READINGS = 2 * recorded_hour.RUN_S
PNG = b"\x89PNG\r\n"


@pytest.fixture
def filled(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A gateway that the environment names, with an hour of readings that a device sent."""
    with Gateway() as made:
        monkeypatch.setenv("PLEXUS_URL", made.url)
        monkeypatch.setenv("PLEXUS_API_KEY", made.api_key)
        monkeypatch.setenv("PLEXUS_QUIET", "1")
        recorded_hour.main([])
        yield


@pytest.fixture
def runtime(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where the kernel's sockets are, whose names must be short; all that Jupyter keeps is in the test's home."""
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "MPLCONFIGDIR"):
        (home / name).mkdir()
        monkeypatch.setenv(name, str(home / name))
    with tempfile.TemporaryDirectory(prefix="px") as made:
        monkeypatch.setenv("JUPYTER_RUNTIME_DIR", made)
        yield made


def test_the_notebook_is_short_and_kept_without_what_it_once_showed() -> None:
    cells = _code_cells(PATH)
    lines = [line for cell in cells for line in cell["source"] if line.strip()]
    assert len(lines) < 15, lines
    assert [(cell["outputs"], cell["execution_count"]) for cell in cells] == [([], None)] * len(cells)


@pytest.mark.usefixtures("filled")
def test_it_goes_from_a_key_to_a_plot_and_an_exported_run(runtime: str, tmp_path: Path) -> None:
    outputs = _executed(runtime, tmp_path)
    assert [output for output in outputs if output["output_type"] in ("error", "stream")] == []

    sources, hour, judgement, numbers, exported = (_shown(outputs, text) for text in SHOWN)
    assert "online=" in sources["text/plain"]
    assert "<table" in hour["text/html"]
    assert "▁" in hour["text/html"]
    assert int(hour["text/plain"].split()[1].replace(",", "")) > HOUR_READINGS - 200  # less the seconds since then
    assert "Judgement(passed=True" in judgement["text/plain"]
    assert "motor.rpm" in numbers["text/html"]
    assert f"rows={RUN_READINGS}" in exported["text/plain"]

    (plot,) = (output["data"]["image/png"] for output in outputs if "image/png" in output.get("data", ()))
    assert base64.b64decode(plot).startswith(PNG)
    assert _topics(tmp_path / "full-speed.mcap") == {
        "/bench-01/motor.rpm": recorded_hour.RUN_S,
        "/bench-01/motor.temperature": recorded_hour.RUN_S,
    }


SHOWN = ("Source(source_id='bench-01'", "motor.temperature</td>", "stays cool", "<th>std</th>", "full-speed.mcap")
"""A text of what each cell shows, in the order in which they are looked at."""


def _executed(runtime: str, folder: Path) -> list[Any]:
    """What the notebook shows; afterwards no process of it is left."""
    target = folder / "executed.ipynb"
    done = subprocess.run(
        [sys.executable, "-m", "tests.examples.notebookrun", str(PATH), str(target), str(folder), runtime],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    left = [process.info for process in psutil.process_iter(["cmdline"]) if runtime in str(process.info["cmdline"])]
    assert left == []
    return [output for cell in _code_cells(target) for output in cell["outputs"]]


def _shown(outputs: list[Any], text: str) -> dict[str, str]:
    """What the first cell shows that shows this text, by its form."""
    for output in outputs:
        forms = {form: "".join(lines) for form, lines in output.get("data", {}).items()}
        if any(text in shown for shown in forms.values()):
            return forms
    raise AssertionError(f"no cell shows {text!r}")


def _topics(recording: Path) -> dict[str, int]:
    """How many messages each topic of the file has."""
    with recording.open("rb") as file:
        counts: dict[str, int] = {}
        for _, channel, _ in make_reader(file).iter_messages():
            counts[channel.topic] = counts.get(channel.topic, 0) + 1
    return counts


def _code_cells(path: Path) -> list[dict[str, Any]]:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
