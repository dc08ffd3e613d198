"""A fresh machine, as far as one folder and one user can play it, on which a page's commands are run as they stand.

What a page puts under /opt, /usr/local, /etc and /var/lib lies below the folder. `sudo`, `useradd` and `python3` are
played by small scripts, systemd by this process: it runs what the unit says, in the way that the unit says. Nothing is
downloaded: the fresh virtual environment borrows the libraries of this one, and has only Plexus of its own.
"""

from __future__ import annotations

import configparser
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
from pathlib import Path

from tests.docs.pages import ROOT, Block
from tests.support.served import free_port
from tests.support.servers import AUTHORITY, CERTS

PATIENCE_S = 60.0
DATA = "/var/lib/plexus"
OWNER = "plexus"
EXAMPLE_ID = "3f2a9c01b7de"
"""Of a key, in the pages."""

SUDO = '#!/bin/sh\n[ "$1" = -u ] && shift 2\nexec "$@"\n'
USERADD = "#!/bin/sh\n"
INSTALL = """\
#!/bin/sh
left=$#
while [ "$left" -gt 0 ]; do
  case $1 in
    -o | -g) shift 2; left=$((left - 2)) ;;
    *) set -- "$@" "$1"; shift; left=$((left - 1)) ;;
  esac
done
exec /usr/bin/install "$@"
"""
PYTHON = f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@" --without-pip\n'
PIP = """\
#!/bin/sh
exec {python} -m pip --python {environment}/bin/python "$@" \
  --quiet --no-index --no-build-isolation --no-compile --disable-pip-version-check
"""

_roots = re.compile(r"(?<![\w.\]])/(?=(?:opt|usr/local|etc|var/lib)/)")
_placeholder = re.compile(r"plx_the-key-of-([a-z0-9-]+)")


class Machine:
    """Follows pages; `keys` has, by name, the keys that were made on the way."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.home = root / "home"
        self.keys: dict[str, str] = {}
        self.service = Service(self)
        self._variables: dict[str, str] = {}
        self._of_the_owner = {self.place(DATA)}
        for name in ("home", "shims", "opt", "usr/local/bin", "etc/systemd/system", "var/lib"):
            (root / name).mkdir(parents=True)
        for name, text in (("sudo", SUDO), ("useradd", USERADD), ("install", INSTALL), ("python3", PYTHON)):
            _program(root / "shims" / name, text)
        for name in ("cert.pem", "key.pem"):
            shutil.copy(CERTS / "server.pem", self.home / name)

    def place(self, path: str) -> Path:
        """Where an absolute path of a page lies."""
        return Path(self.here(path))

    def follow(self, block: Block) -> str:
        """Do what a block says; returns what its commands printed. A configuration is written where the pages say."""
        if block.language == "toml":
            self.place("/etc/plexus/gateway.toml").write_text(self.here(block.text), encoding="utf-8")
            return ""
        lines = (line for line in block.text.splitlines() if line and not line.startswith("#"))
        return "".join(self.do(line, f"{block.name}: ") for line in lines)

    def do(self, line: str, where: str = "") -> str:
        """Run one line as the person at the machine; returns what it printed."""
        words = shlex.split(line, comments=True)
        if words[0] == "export":
            name, _, value = self.here(words[1]).partition("=")
            self._variables[name] = value
            return ""
        if words[:2] == ["sudo", "systemctl"]:
            self.service.told(words[2])
            return ""
        self._check_rights(words, where + line)
        # A unit is printed for the places as they are; it is read with those of the folder.
        text = self.here(line) if "--print-unit" not in line else line.replace("/etc/", f"{self.root}/etc/")
        ended = self.shell(text)
        assert ended.returncode == 0, f"{where}{line}: {ended.stdout}{ended.stderr}"
        self._note(words, ended.stdout)
        return ended.stdout

    def shell(self, text: str) -> subprocess.CompletedProcess[str]:
        """Run a line of shell in the person's home."""
        return subprocess.run(
            ["bash", "-c", f"set -o pipefail; {text}"],
            cwd=self.home,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def environment(self) -> dict[str, str]:
        """What the person's shell has exported."""
        path = os.pathsep.join([str(self.root / "shims"), str(self.root / "usr/local/bin"), "/usr/bin", "/bin"])
        fixed = {"HOME": str(self.home), "PATH": path, "LC_ALL": "C.UTF-8", "SSL_CERT_FILE": str(AUTHORITY)}
        return {**self._variables, **fixed, **self.system_file()}

    def system_file(self) -> dict[str, str]:
        """The variable that has the folder's /etc/plexus/gateway.toml read, once there is one."""
        file = self.place("/etc/plexus/gateway.toml")
        return {"PLEXUS_GATEWAY_CONFIG": str(file)} if file.exists() else {}

    def here(self, text: str) -> str:
        """What a page says, with the folder's paths, the service's port and the keys that were made."""
        text = _placeholder.sub(lambda found: self.keys[found[1]], text)
        text = text.replace("plexus.example.org:8443", f"127.0.0.1:{self.service.port}")
        text = text.replace("127.0.0.1:8080", f"127.0.0.1:{self.service.port}")
        return _roots.sub(f"{self.root}/", text.replace("/path/to/the/checkout", str(ROOT)))

    def _check_rights(self, words: list[str], line: str) -> None:
        """What the one user who plays all would not notice: files that the user of the command may not open."""
        user = words[2] if words[:2] == ["sudo", "-u"] else "root" if words[0] == "sudo" else "me"
        assert user in ("me", "root", OWNER), line
        if user == "root" or "--print-unit" in words:
            return
        for path in (self.home / self.here(word) for word in words):
            inside = any(path.is_relative_to(owned) for owned in self._of_the_owner)
            if user == "me":
                assert not inside, f"{line}: {path} is closed to everybody but {OWNER}"
            elif path.is_file() and not inside:
                assert path.stat().st_mode & 0o004, f"{line}: {OWNER} may not read {path}"

    def _note(self, words: list[str], printed: str) -> None:
        if "venv" in words:
            self._lend_libraries(self.place(words[-1]))
        if "create" in words and "--each" not in words:
            self.keys[words[words.index("create") + 1]] = printed.strip()
        if "install" in words and "-o" in words:
            self._of_the_owner.add(self.home / self.here(words[-1]))

    def _lend_libraries(self, environment: Path) -> None:
        lent = self.root / "libraries"
        lent.mkdir()
        for path in Path(sysconfig.get_path("purelib")).iterdir():
            if "plexus" not in path.name and path.suffix != ".pth":
                (lent / path.name).symlink_to(path)
        (site,) = environment.glob("lib/python*/site-packages")
        (site / "lent.pth").write_text(f"{lent}\n")
        _program(environment / "bin" / "pip", PIP.format(python=shlex.quote(sys.executable), environment=environment))


class Service:
    """systemd for one unit: it starts it as the unit says, hears that it is ready, and ends it with SIGTERM."""

    def __init__(self, machine: Machine) -> None:
        self.port = free_port()
        self._machine = machine
        self._enabled = False
        self._process: subprocess.Popen[bytes] | None = None

    def told(self, verb: str) -> None:
        """What `systemctl` was told to do."""
        self._enabled |= verb == "enable"
        for step in {"enable": ["start"], "restart": ["stop", "start"], "daemon-reload": []}.get(verb, [verb]):
            getattr(self, step)()

    def start(self) -> None:
        """Start what the unit names, and wait until it says that it is ready."""
        unit = self.unit()
        words = shlex.split(self._machine.here(unit["ExecStart"]))
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified, self._journal.open("ab") as journal:
            name = f"plexus-docs-{os.getpid()}"
            notified.bind(f"\0{name}")
            notified.settimeout(PATIENCE_S)
            environment = self._environment(f"@{name}", journal.fileno())
            self._process = subprocess.Popen(words, cwd="/", env=environment, stdout=journal, stderr=journal)
            try:
                while notified.recv(4096) != b"READY=1":
                    pass
            except TimeoutError:
                raise AssertionError(f"the service is not ready after {PATIENCE_S:g} s: {self.said()}") from None

    def stop(self) -> None:
        """End it as `systemctl stop` and a shutdown do; it must end well, and in the time that the unit gives it."""
        process, self._process = self._process, None
        assert process is not None
        process.send_signal(signal.SIGTERM)
        assert process.wait(int(self.unit()["TimeoutStopSec"])) == 0, self.said()

    def reboot(self) -> None:
        """End it as the machine's end does, and start it as the next boot does: only where that was enabled."""
        self.stop()
        assert self._enabled
        self.start()

    def kill(self) -> None:
        """End what is left of it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE_S)

    def said(self) -> str:
        """Its journal."""
        return self._journal.read_text(encoding="utf-8")

    def unit(self) -> configparser.SectionProxy:
        """The [Service] of the unit that the page has put in place."""
        parser = configparser.ConfigParser(interpolation=None, strict=False)
        parser.optionxform = str  # type: ignore[assignment,method-assign]  # systemd's keys have capitals
        (file,) = self._machine.place("/etc/systemd/system/").glob("*.service")
        parser.read_string(file.read_text(encoding="utf-8"))
        return parser["Service"]

    @property
    def _journal(self) -> Path:
        return self._machine.root / "journal"

    def _environment(self, notified: str, journal: int) -> dict[str, str]:
        """As systemd makes it; host, port and /etc/plexus are those of the folder."""
        stat = os.fstat(journal)
        return {
            "HOME": str(self._machine.place(DATA)),
            "PATH": "/usr/bin:/bin",
            "NOTIFY_SOCKET": notified,
            "JOURNAL_STREAM": f"{stat.st_dev}:{stat.st_ino}",
            "PLEXUS_GATEWAY_HOST": "127.0.0.1",
            "PLEXUS_GATEWAY_PORT": str(self.port),
            **self._machine.system_file(),
        }


def _program(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
