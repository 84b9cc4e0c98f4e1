"""A proxy in front of a PostgreSQL server, by TCP or a Unix socket, which can lose a COMMIT or the response to it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from scx_pipeline_tests.support.servers.ports import LOOPBACK

COMMIT = b"COMMIT\0"  # the end of the message


@dataclass
class Link:
    """A client's connection, and the corresponding one to the server."""

    client: socket.socket
    server: socket.socket
    swallows: bool = False  # whether the server's next response is lost

    def close(self) -> None:
        for end in (self.client, self.server):
            close(end)


@dataclass
class Proxy:
    """A listening proxy. `loses` defines what is lost next, once:

    "answer": a COMMIT is executed, but the client gets no response; "commit": it does not arrive; "silently": nor does
    the server notice that the client is gone.
    """

    listener: socket.socket
    server: int  # the port
    loses: str = ""
    and_closes: bool = False  # whether connections are refused after that
    lost: int = 0
    links: list[Link] = field(default_factory=list)

    def url(self, direct: str) -> str:
        """Return the server's URL with the proxy's port."""
        return direct.replace(f":{self.server}/", f":{self.listener.getsockname()[1]}/")

    def serve(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = self.listener.accept()
                if self.lost and self.and_closes:
                    client.close()
                    continue
                link = Link(client, socket.create_connection((LOOPBACK, self.server)))
                self.links.append(link)
                for pump in (self._ask, self._answer):
                    threading.Thread(target=pump, args=[link], daemon=True).start()

    def _ask(self, link: Link) -> None:
        with suppress(OSError):
            while piece := link.client.recv(1 << 16):
                if self.loses and piece.endswith(COMMIT):
                    how, self.loses, self.lost = self.loses, "", self.lost + 1
                    link.swallows = how == "answer"
                    if how == "silently":
                        close(link.client)
                    if how != "answer":
                        break
                link.server.sendall(piece)
        if link.client.fileno() >= 0:
            link.close()

    def _answer(self, link: Link) -> None:
        with suppress(OSError):
            while piece := link.server.recv(1 << 16):
                if link.swallows:
                    break
                link.client.sendall(piece)
        link.close()


def close(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()


@contextmanager
def proxy(server: int, path: Path | None = None) -> Iterator[Proxy]:
    """Run a proxy to the server's port, on its own port or at the path of a socket."""
    with socket.socket(socket.AF_UNIX if path else socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind(str(path) if path else (LOOPBACK, 0))
        listener.listen()
        made = Proxy(listener, server)
        thread = threading.Thread(target=made.serve, daemon=True)
        thread.start()
        try:
            yield made
        finally:
            close(listener)
            for link in made.links:
                link.close()
            thread.join(20)
