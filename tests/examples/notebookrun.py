"""Runs a notebook in a process of its own: python -m tests.examples.notebookrun IN.ipynb OUT.ipynb FOLDER RUNTIME

The kernel is this interpreter, whatever kernels a person has installed. It works in FOLDER and speaks over sockets in
RUNTIME, not over ports: those are chosen long before they are bound, and other tests may have taken them by then.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from nbclient import NotebookClient

LIMIT_S = 60


class ThisPython(KernelSpecManager):
    """The only kernel there is: the interpreter that runs this."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=argv, display_name=kernel_name, language="python")


def main(source: str, target: str, folder: str, runtime: str) -> None:
    notebook = nbformat.read(source, as_version=4)  # type: ignore[no-untyped-call]  # it has types in part
    client = NotebookClient(notebook, timeout=LIMIT_S, resources={"metadata": {"path": folder}})
    manager = client.create_kernel_manager()
    manager.kernel_spec_manager = ThisPython()
    manager.transport = "ipc"
    manager.ip = str(Path(runtime) / "k")
    client.execute()
    nbformat.write(notebook, target)  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main(*sys.argv[1:])
