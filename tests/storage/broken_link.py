"""A link between a client and Redis that a test breaks: before a request gets through, or after it was applied.

Used by the storage tests. A relay instead of a mock: what the client meets is what a network does.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Iterator
from enum import Enum

import redis.asyncio as redis

PATIENCE_S = 20.0


class Break(Enum):
    """What happens to a script call."""

    NEVER_SENT = "the connection is reset before the request reaches the server"
    CLOSED = "the request is applied, then the connection is closed"
    RESET = "the request is applied, then the connection is reset"
    SILENT = "the request is applied, the answer never comes"


class Link:
    """A relay from ``url`` (TCP) to the socket of a server; a context manager. ``break_next`` breaks one script call."""

    def __init__(self, server_socket: str) -> None:
        self._server_socket = server_socket
        self._planned: Break | None = None
        self._applied = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """For ``connect``."""
        assert self._server
        return f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/0"

    @property
    def is_broken(self) -> bool:
        """Whether the planned break has happened."""
        return self._planned is None

    def break_next(self, how: Break) -> None:
        """Break the next EVALSHA; everything else gets through."""
        self._planned = how
        self._applied.clear()

    async def applied(self) -> None:
        """Wait until the request whose answer is lost was applied: a client that gives up may be faster than the server."""
        async with asyncio.timeout(PATIENCE_S):
            await self._applied.wait()

    async def __aenter__(self) -> Link:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._relay(reader, writer), name="link")
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_unix_connection(self._server_socket)
        answers = asyncio.create_task(_pump(up_reader, writer), name="link answers")
        try:
            with contextlib.suppress(ConnectionError):
                while request := await reader.read(1 << 20):
                    how, self._planned = (self._planned, None) if b"EVALSHA" in request else (None, self._planned)
                    if how is Break.NEVER_SENT:
                        return _cut(writer, reset=True)
                    if how:
                        answers.cancel()
                        await asyncio.gather(answers, return_exceptions=True)
                    up_writer.write(request)
                    if how:
                        await up_reader.read(1)  # it was applied: the server answers when it has run the script
                        self._applied.set()
                    if how in (Break.CLOSED, Break.RESET):
                        return _cut(writer, reset=how is Break.RESET)
        finally:
            up_writer.close()
            writer.close()
            answers.cancel()
            await asyncio.gather(answers, return_exceptions=True)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 20):
        writer.write(data)
    writer.close()


def _cut(writer: asyncio.StreamWriter, *, reset: bool) -> None:
    if reset:  # SO_LINGER with no time: a RST instead of a FIN
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@contextlib.contextmanager
def impatient(client: redis.Redis, timeout_s: float) -> Iterator[None]:
    """In it the connections that ``client`` has wait so long for an answer; connecting takes the time that it takes."""
    connections = list(client.connection_pool._available_connections)
    patience = [connection.socket_timeout for connection in connections]
    for connection in connections:
        connection.socket_timeout = timeout_s
    try:
        yield
    finally:
        for connection, patient_s in zip(connections, patience, strict=True):
            connection.socket_timeout = patient_s
