"""What the Tab key completes: asked as a shell asks, and in a real bash."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from plexus.cli import app
from plexus.cli.completion import FILES, SCRIPTS, candidates
from plexus.gateway import Gateway
from tests.cli.conftest import PLEXUS, Command, put
from tests.support.servers import dead_port


def completed(*words: str) -> list[str]:
    """What may come in place of the last word."""
    return [word for word, _meaning in candidates(app.parser(), words)]


def test_commands_are_completed_without_their_other_names() -> None:
    assert completed("e") == ["events", "export"]
    assert "login" not in completed("")
    assert set(completed("")) == {module.__name__.rpartition(".")[2] for module in app.COMMANDS}


def test_actions_of_a_command_are_completed() -> None:
    assert completed("runs", "") == ["list", "show", "compare"]


def test_options_are_those_of_the_command() -> None:
    assert completed("query", "--in") == ["--interval"]
    assert completed("runs", "show", "--") == ["--help", "--check", "--json"]
    assert completed("--v") == ["--version"]


def test_choices_are_completed() -> None:
    assert completed("sources", "--status", "") == ["online", "offline"]
    assert completed("completion", "f") == ["fish"]


def test_where_a_file_is_named_the_shell_completes() -> None:
    assert completed("export", "") == [FILES]
    assert completed("query", "drone-01", "m", "--parquet", "da") == [FILES]


def test_an_option_with_its_value_behind_an_equals_sign_takes_no_other_word() -> None:
    assert completed("sources", "--status=online", "--j") == ["--json"]


def test_what_bash_takes_apart_at_an_equals_sign_is_put_together() -> None:
    assert completed("sources", "--status", "=") == ["online", "offline"]
    assert completed("sources", "--status", "=", "off") == ["offline"]
    assert completed("sources", "--status", "=", "offline", "--j") == ["--json"]


def test_nothing_is_completed_where_nothing_can_be_known() -> None:
    assert completed("send", "") == []
    assert completed("no-such-command", "") == completed("")
    assert completed("sources", "drone") == []


def test_names_come_from_the_gateway(filled: Gateway) -> None:
    assert completed("latest", "") == ["drone-01"]
    assert completed("query", "drone-01", "bat") == ["battery.voltage"]
    assert completed("query", "drone-01", "battery.voltage", "") == ["battery.voltage", "robot.state"]
    assert completed("tail", "--metric", "") == []
    assert completed("runs", "show", "") == []
    assert completed("command", "drone-01", "") == []


@pytest.mark.parametrize("name", ["m$(reboot)", "m;reboot", "m`reboot`", "m reboot", "m'", "m\n", "m>x", "m*"])
def test_a_name_that_a_shell_would_run_is_not_put_into_a_command_line(filled: Gateway, name: str) -> None:
    put(filled, {"metric": name, "value": 1})
    assert completed("query", "drone-01", "m") == []


def test_without_a_gateway_there_are_no_names_and_no_word(plexus: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLEXUS_URL", f"http://127.0.0.1:{dead_port()}")
    monkeypatch.setenv("PLEXUS_API_KEY", "plx_key")
    ended = plexus("completion", "bash", "--for", "latest", "")
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    monkeypatch.delenv("PLEXUS_API_KEY")
    assert plexus("completion", "bash", "--for", "latest", "").code == 0


def test_each_shell_gets_its_form(plexus: Command) -> None:
    assert plexus("completion", "bash", "--for", "query", "--who").out == "--whole\n"
    assert plexus("completion", "fish", "--for", "query", "--who").out.startswith("--whole\tall of it")
    assert plexus("completion", "zsh", "--for", "query", "--who").out.startswith("--whole:all of it")
    assert plexus("completion", "zsh", "--for", "export", "").out == ":files\n"


@pytest.mark.parametrize("shell", list(SCRIPTS))
def test_each_shell_has_a_script(plexus: Command, shell: str) -> None:
    ended = plexus("completion", shell)
    assert ended.code == 0
    assert f"plexus completion {shell} --for" in ended.out


# bash is everywhere that `make` is; the workflow installs the others, and a machine may have them.
@pytest.mark.parametrize("shell", ["bash", *(name for name in SCRIPTS if name != "bash" and shutil.which(name))])
def test_each_script_is_one_that_its_shell_reads(shell: str, tmp_path: Path) -> None:
    (tmp_path / "script").write_text(SCRIPTS[shell])
    subprocess.run([shell, "-n", tmp_path / "script"], check=True, timeout=30)


@pytest.mark.parametrize(
    ("words", "found"),
    [(["expo"], ["export"]), (["query", "drone-01", "bat"], ["battery.voltage"]), (["export", ""], [])],
)
def test_bash_completes(filled: Gateway, words: list[str], found: list[str]) -> None:
    line = " ".join(["plexus", *(f"'{word}'" for word in words)])
    program = (
        f'{SCRIPTS["bash"]}\nCOMP_WORDS=({line}); COMP_CWORD={len(words)}; _plexus; printf "%s\\n" "${{COMPREPLY[@]}}"'
    )
    environment = {**os.environ, "PATH": f"{PLEXUS.parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "--norc", "-c", program], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    assert (done.stdout.split(), done.stderr) == (found, "")
