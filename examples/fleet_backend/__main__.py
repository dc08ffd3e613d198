"""A page of the whole fleet, live: python -m examples.fleet_backend, then open http://127.0.0.1:8765. Ctrl-C ends it.

Needs a gateway (`plexus serve`), something that sends (`python examples/device.py`), and in the environment what the
gateway printed:  export PLEXUS_URL=…  export PLEXUS_API_KEY=…
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import socket

import uvicorn
from litestar import Litestar

from plexus import AsyncPlexusAPI, ConfigurationError

from .app import create_app

LEAVE_S = 3


class Server(uvicorn.Server):
    """Waits for open answers before it stops the application, and a live page's never ends by itself."""

    def __init__(self, app: Litestar, port: int) -> None:
        config = uvicorn.Config(app, host="127.0.0.1", port=port, ws="none", timeout_graceful_shutdown=LEAVE_S)
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Send the browsers to their end first. Those that do not read are cut off after LEAVE_S seconds."""
        self._app.state.fleet.end()
        await super().shutdown(sockets)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser("fleet_backend", description="A page of the whole fleet, live.")
    parser.add_argument("--port", type=int, default=8765, help="0: any that is free")
    options = parser.parse_args(arguments)
    logging.basicConfig(format="%(levelname)s: %(message)s")
    try:
        api = AsyncPlexusAPI()  # the application would make it, too late for a plain word about what is missing
    except ConfigurationError as error:
        parser.error(str(error))
    with contextlib.suppress(KeyboardInterrupt):
        Server(create_app(lambda: api), options.port).run()


if __name__ == "__main__":
    main()
