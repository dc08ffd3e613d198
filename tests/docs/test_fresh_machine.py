"""What the README and "Run the gateway" say, done as they say it: from nothing to a gateway that survives a reboot."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from plexus.cli import main
from tests.docs.freshmachine import DATA, EXAMPLE_ID, PATIENCE_S, Machine
from tests.docs.pages import ROOT, blocks, blocks_under, code_spans, pages
from tests.support.served import free_port

README = ROOT / "README.md"
HOW_TO = ROOT / "docs" / "how-to"
PAGE = HOW_TO / "run-the-gateway.md"
SHELL = ("", "sh")

linux = pytest.mark.skipif(
    sys.platform != "linux" or not all(map(shutil.which, ("bash", "curl", "install"))),
    reason="these are commands for Linux, with bash and curl",
)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path)
    yield made
    made.service.kill()


@linux
def test_a_fresh_machine_becomes_a_gateway_that_survives_a_reboot(machine: Machine) -> None:
    printed = [machine.follow(block) for block in blocks_under(PAGE, "Five minutes")]
    assert '{"status":"ready"}' in "".join(printed)
    assert machine.place(DATA).stat().st_mode & 0o777 == 0o700
    assert _latest(printed[-1]) == {"battery.voltage": "12.4"}

    machine.service.reboot()
    assert _latest(machine.do("plexus latest drone-01")) == {"battery.voltage": "12.4"}

    machine.follow(blocks_under(PAGE, "Back up")[0])
    machine.do("export PLEXUS_API_KEY=plx_the-key-of-drone-01")
    assert machine.shell("plexus send battery.voltage 11.1 --source drone-02 --timeout 1").returncode == 1
    machine.do("plexus send battery.voltage 11.1 --source drone-01")
    machine.follow(blocks_under(PAGE, "Put a backup back")[0])
    machine.do("export PLEXUS_API_KEY=plx_the-key-of-dashboard")
    assert _latest(machine.do("plexus latest drone-01")) == {"battery.voltage": "12.4"}
    machine.service.stop()


@linux
def test_the_readme_goes_from_a_start_to_a_reading_and_over_a_restart(tmp_path: Path) -> None:
    (serve,) = (block.text for block in blocks_under(README, "Host your own gateway") if "plexus serve" in block.text)
    (create,) = (span for span in code_spans(README) if span.startswith("plexus keys create"))
    for name, title in (("device.py", "A device"), ("reader.py", "A reader")):
        (block,) = (block for block in blocks_under(README, title) if block.language == "python")
        (tmp_path / name).write_text(block.text, encoding="utf-8")
    person = Person(tmp_path)

    with person.serving(serve) as exported:
        key = person.does(create).strip()
        person.does("python device.py", PLEXUS_URL=exported["PLEXUS_URL"], PLEXUS_API_KEY=key)
        person.sees("lowest: 12.4", "exec python -u reader.py", **exported)
    with person.serving(serve) as again:
        assert again == {"PLEXUS_URL": exported["PLEXUS_URL"]}
        assert _latest(person.does("plexus latest drone-01", **exported))["robot.state"] == "RUNNING"


@pytest.mark.parametrize("page", [PAGE, HOW_TO / "manage-keys.md"], ids=lambda page: page.name)
def test_the_keys_of_a_page_are_made_changed_and_revoked(
    page: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In this process, for there are many, and it is what they do that is looked at."""
    main(["keys", "create", "example", "--json", "--data", str(tmp_path)])
    made = json.loads(capsys.readouterr().out)["key_id"]
    lines = [line for line in _shell_lines(page) if " plexus keys " in line]
    assert len(lines) > 4
    for line in lines:
        monkeypatch.setattr(sys, "stdin", io.StringIO("rig-01\nrig-02\n"))
        bare = re.sub(r" [<>] \S+", "", line).replace(DATA, str(tmp_path)).replace(EXAMPLE_ID, made)
        assert main(shlex.split(bare, comments=True)[4:]) == 0, line
        assert str(tmp_path) in capsys.readouterr().err, line


def test_what_works_on_the_data_of_the_service_is_run_as_its_user() -> None:
    for page in pages():
        for line in _shell_lines(page):
            if DATA in line and "--print-unit" not in line:
                assert line.startswith("sudo "), f"{page.name}: {line}: {DATA} is closed to everybody else"
        for span in code_spans(page):
            assert not re.match(rf"plexus (?!serve.*--print-unit).*{DATA}", span), f"{page.name}: `{span}`"


def test_what_works_on_a_directory_of_data_names_it() -> None:
    works = re.compile(r"plexus (keys (create|list|rotate|revoke)|gateway (restore|check)) \S")
    found = [(page, line) for page in pages() for line in _shell_lines(page) if works.search(line)]
    assert len(found) > 10
    for page, line in found:
        assert " --data " in line, f"{page.name}: {line}: it would work on ~/.plexus/gateway"


def test_no_page_installs_the_package_of_the_same_name_from_the_index() -> None:
    other = re.compile(r"pip install (?:-U |--upgrade )?[\"']?plexus")
    for page in pages():
        assert not other.search(page.read_text(encoding="utf-8")), page.name


class Person:
    """Somebody with this checkout installed, in an empty folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
        self._environment = {"PATH": path, "HOME": str(folder), "PLEXUS_GATEWAY_PORT": str(free_port())}

    def does(self, line: str, **exported: str) -> str:
        """Run a line to its end, which must be a good one; returns what it printed."""
        with self._started(line, exported) as process:
            out, err = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, f"{line}: {out}{err}"
        return out

    def sees(self, text: str, line: str, **exported: str) -> None:
        """Run a line until it prints `text`, and end it then."""
        with self._started(line, exported) as process:
            assert process.stdout is not None
            assert any(text in printed for printed in process.stdout), f"{line} ended, and did not print {text!r}"
            process.kill()

    @contextlib.contextmanager
    def serving(self, line: str) -> Iterator[dict[str, str]]:
        """A gateway that the line starts, and that ends well; gives what it says has to be exported."""
        with self._started(f"exec {line}", {}) as process:
            assert process.stdout is not None
            exported: dict[str, str] = {}
            # It says of the key last: the key itself, or that it is the one that there was.
            while not (printed := process.stdout.readline()).startswith(("# PLEXUS_API_KEY", "# the key")):
                assert printed, process.communicate()
                if printed.startswith("export "):
                    name, _, value = printed.removeprefix("export ").strip().partition("=")
                    exported[name] = value
            try:
                yield exported
            finally:
                process.send_signal(signal.SIGTERM)
                process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0

    def _started(self, line: str, exported: Mapping[str, str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["bash", "-c", line],
            cwd=self._folder,
            env={**self._environment, **exported},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def _latest(printed: str) -> dict[str, str]:
    """What `plexus latest` shows, without its heading."""
    return dict(line.split(maxsplit=1) for line in printed.splitlines()[1:])


def _shell_lines(page: Path) -> Iterator[str]:
    for block in blocks(page):
        if block.language in SHELL:
            yield from (line for line in block.text.splitlines() if "…" not in line)
