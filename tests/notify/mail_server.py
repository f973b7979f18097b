"""A mail server on the loopback that fails wherever a test wants it to. The sandbox has one that behaves; this one need not."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from dataclasses import dataclass, field

GREETING = "greeting"
END = "end of data"


@dataclass
class FaultyMailServer:
    """``answers`` are by verb, ``GREETING`` and ``END``: a line, "hang", "reset" or "drip" (a byte now and then, for ever).

    ``conversation`` is every line that came in, ``mails`` what was ended by its dot.
    """

    tls: ssl.SSLContext | None = None
    implicit: bool = False
    offers: tuple[str, ...] = ("AUTH PLAIN LOGIN",)
    answers: dict[str, str] = field(default_factory=dict)
    conversation: list[str] = field(default_factory=list)
    mails: list[bytes] = field(default_factory=list)
    port: int = 0
    met: asyncio.Event = field(default_factory=asyncio.Event)
    """A fault was reached."""
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    """The other side has left."""
    _server: asyncio.Server | None = None
    _talks: set[asyncio.Task[None]] = field(default_factory=set)

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._meet, "127.0.0.1", 0, ssl=self.tls if self.implicit else None)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Hang up."""
        if self._server:
            self._server.close()
        for talk in list(self._talks):
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)
        if self._server:
            await self._server.wait_closed()

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._talks.add(task)
        task.add_done_callback(self._talks.discard)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self._talk(reader, writer)
        finally:
            self.gone.set()
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        encrypted = self.implicit
        await self._say(reader, writer, self.answers.get(GREETING, "220 mail.example.com ESMTP"))
        while line := (await reader.readline()).decode(errors="replace").rstrip("\r\n"):
            self.conversation.append(line)
            verb = line.split(" ")[0].upper()
            if verb in self.answers:
                await self._say(reader, writer, self.answers[verb])
            elif verb == "EHLO":
                starttls = ["STARTTLS"] if self.tls and not encrypted else []
                offered = ["mail.example.com", *self.offers, *starttls]
                said = [f"250-{offer}" for offer in offered[:-1]] + [f"250 {offered[-1]}"]
                await self._say(reader, writer, "\r\n".join(said))
            elif verb == "STARTTLS" and self.tls:
                await self._say(reader, writer, "220 go ahead")
                await writer.start_tls(self.tls)
                encrypted = True
            elif verb == "DATA":
                await self._say(reader, writer, "354 go ahead")
                self.mails.append(await reader.readuntil(b"\r\n.\r\n"))
                await self._say(reader, writer, self.answers.get(END, "250 2.0.0 taken"))
            else:
                await self._say(reader, writer, {"AUTH": "235 2.7.0 yes", "QUIT": "221 bye"}.get(verb, "250 2.1.0 OK"))

    async def _say(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: str) -> None:
        if line in ("hang", "reset", "drip"):
            self.met.set()
        if line == "reset":
            writer.transport.abort()
            raise ConnectionResetError
        if line == "hang":
            await reader.read()
            raise ConnectionResetError
        while line == "drip":
            writer.write(b"2")
            await writer.drain()
            await asyncio.sleep(0.02)
        writer.write(f"{line}\r\n".encode())
        await writer.drain()
