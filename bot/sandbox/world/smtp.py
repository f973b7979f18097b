"""A stand-in for a mail server: SMTP submission on a loopback port of its own (RFC 5321, AUTH of RFC 4954, STARTTLS).

Strict about the order of commands, about who may send (AUTH first) and about sizes; a mail taken twice is kept twice, as
real servers do. Nothing is ever delivered anywhere.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import email
import email.policy
import re
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any, Final, Literal

from bot.sandbox.world.misbehaving import Entry, Failing, Trouble

USER: Final = "muster"
PASSWORD: Final = "sandbox-mail"  # noqa: S105 - opens nothing but this stand-in
SENDER: Final = "muster@example.com"
MAX_MAIL_BYTES: Final = 1024 * 1024
MAX_LINE_BYTES: Final = 1000
"""With its CRLF (RFC 5321, 4.5.3.1.6)."""
BOUNCE_AFTER_S: Final = 20.0
NAME: Final = "mail.sandbox.example"

_PATH: Final = re.compile(r"<([^<>\s]*)>((?: [A-Za-z0-9]+(?:=[^ =]+)?)*)")
_ADDRESS: Final = re.compile(r"[^@\s<>]+@[^@\s<>]+\.[^@\s<>]+")

AddressBehaviour = Literal["accepts", "unknown", "bounces"]
"""Takes mail, is refused at RCPT with 550, or is taken and bounces later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """One mail that was taken. ``at`` is in epoch seconds of the sandbox."""

    at: float
    sender: str
    recipients: tuple[str, ...]
    data: bytes

    @property
    def message(self) -> EmailMessage:
        """It, parsed."""
        return email.message_from_bytes(self.data, policy=email.policy.default)

    @property
    def message_id(self) -> str:
        """Its Message-ID with the angle brackets; "" without one."""
        return str(self.message.get("Message-ID", "")).strip()

    @property
    def subject(self) -> str:
        """Decoded."""
        return str(self.message.get("Subject", ""))

    @property
    def text(self) -> str:
        """The plain text of it, "" when there is none."""
        body = self.message.get_body(preferencelist=("plain",))
        return str(body.get_content()) if body is not None else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounce:
    """A mail that was taken and could not be delivered; ``at`` is when that was known."""

    at: float
    address: str
    message_id: str
    reason: str = "550 5.1.1 The mailbox does not exist"


class SmtpStandIn(Failing):
    """One mail server with one account. ``mails`` is in the order of arrival; ``ledger`` has each recipient, taken or not.

    It fails mail by mail: "429" is 421 at MAIL, "500" is 451 after the data.
    """

    def __init__(
        self, now: Callable[[], float], on_change: Callable[[], None], *, record: Callable[[dict[str, Any], float], None]
    ) -> None:
        super().__init__("Mail", "password_changed")
        self._now = now
        self._on_change = on_change
        self.record = record
        self._server: asyncio.Server | None = None
        self._dialogues: set[asyncio.Task[None]] = set()
        self._sleep: Callable[[float], Awaitable[None]] | None = None
        self._behaviours: dict[str, AddressBehaviour] = {}
        self.tls: ssl.SSLContext | None = None
        self.ledger: list[Entry] = []
        self.mails: list[Mail] = []
        self.port = 0

    # What tests set

    def behave(self, address: str, behaviour: AddressBehaviour) -> None:
        """What becomes of mail to this address."""
        self._behaviours[address.lower()] = behaviour

    @property
    def bounces(self) -> list[Bounce]:
        """What has come back by now."""
        return [
            Bounce(at=mail.at + BOUNCE_AFTER_S, address=address, message_id=mail.message_id)
            for mail in self.mails
            for address in mail.recipients
            if self.behaviour(address) == "bounces" and mail.at + BOUNCE_AFTER_S <= self._now()
        ]

    # The server

    @property
    def url(self) -> str:
        """For SMTP_URL. Raises: RuntimeError before `start`."""
        if not self.port:
            raise RuntimeError("The mail server has not been started")
        return f"smtp://{USER}:{PASSWORD}@127.0.0.1:{self.port}"

    async def start(self, sleep: Callable[[float], Awaitable[None]], *, tls: ssl.SSLContext | None = None) -> None:
        """Listen on a free port of 127.0.0.1, the same one after a stop. Safe to repeat.

        With ``tls`` STARTTLS is offered, and AUTH only after it. ``sleep`` waits for so many seconds of the sandbox's time.
        """
        if self._server is not None:
            return
        self.tls = tls
        self._sleep = sleep
        self._server = await asyncio.start_server(self._meet, "127.0.0.1", self.port, limit=MAX_MAIL_BYTES * 2)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Hang up on everybody. Safe to repeat."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        dialogues = list(self._dialogues)
        for dialogue in dialogues:
            dialogue.cancel()
        await asyncio.gather(*dialogues, return_exceptions=True)
        if server is not None:
            await server.wait_closed()

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._dialogues.add(task)
            task.add_done_callback(self._dialogues.discard)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
                await Dialogue(self, reader, writer).run()
        finally:
            writer.close()

    # What the dialogue asks

    def behaviour(self, address: str) -> AddressBehaviour:
        """Of one address."""
        return self._behaviours.get(address.lower(), "accepts")

    def admits(self, user: str, password: str) -> bool:
        """Whether these credentials are good."""
        return (user, password) == (USER, PASSWORD) and self.state.value != "password_changed"

    def refuse(self, address: str, note: str) -> None:
        """Write down what was not taken."""
        self.ledger.append(Entry(at=self._now(), what="mail", key=address, accepted=False, note=note))
        self._on_change()

    def keep(self, sender: str, recipients: tuple[str, ...], data: bytes, note: str) -> Mail:
        """A mail is taken."""
        mail = Mail(at=self._now(), sender=sender, recipients=recipients, data=data)
        self.mails.append(mail)
        for address in recipients:
            self.ledger.append(Entry(at=mail.at, what="mail", key=address, accepted=True, note=note, reference=mail.message_id))
        self._on_change()
        if self._sleep is not None and any(self.behaviour(address) == "bounces" for address in recipients):
            task = asyncio.create_task(self._come_back(self._sleep), name="bounce")
            self._dialogues.add(task)
            task.add_done_callback(self._dialogues.discard)
        return mail

    async def _come_back(self, sleep: Callable[[float], Awaitable[None]]) -> None:
        """Tell when a mail has bounced; `bounces` knows it by itself."""
        await sleep(BOUNCE_AFTER_S)
        self._on_change()


class _ClosedError(Exception):
    """The dialogue is over."""


@dataclass
class Dialogue:
    """One connection, from the greeting to its end."""

    server: SmtpStandIn
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    greeted: bool = False
    extended: bool = False
    encrypted: bool = False
    authenticated: bool = False
    sender: str | None = None
    recipients: list[str] = field(default_factory=list)
    trouble: Trouble | None = None
    began_at: float = field(default_factory=time.monotonic)

    async def run(self) -> None:
        """Until QUIT, or until the other side has gone."""
        await self.say(f"220 {NAME} ESMTP sandbox")
        with contextlib.suppress(_ClosedError):
            while True:
                line = await self.line()
                if line is None:
                    continue
                verb, _, rest = line.partition(" ")
                await self.obey(verb.upper(), rest)

    async def obey(self, verb: str, rest: str) -> None:
        """One command."""
        match verb:
            case "EHLO" | "HELO":
                await self.hello(rest, extended=verb == "EHLO")
            case "NOOP":
                await self.say("250 2.0.0 OK")
            case "RSET":
                self.reset()
                await self.say("250 2.0.0 OK")
            case "QUIT":
                await self.say("221 2.0.0 Bye")
                raise _ClosedError
            case "VRFY":
                await self.say("252 2.5.0 Send some mail, I'll try my best")
            case "STARTTLS":
                await self.start_tls(rest)
            case "AUTH":
                await self.auth(rest)
            case "MAIL":
                await self.mail(rest)
            case "RCPT":
                await self.recipient(rest)
            case "DATA":
                await self.data(rest)
            case _:
                await self.say("500 5.5.2 Command unrecognized")

    async def hello(self, rest: str, *, extended: bool) -> None:
        """EHLO and HELO."""
        if not rest.strip():
            await self.say("501 5.5.4 Say who you are")
            return
        self.reset()
        self.greeted, self.extended = True, extended
        if not extended:
            await self.say(f"250 {NAME}")
            return
        offers = [NAME, f"SIZE {MAX_MAIL_BYTES}", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES"]
        if self.server.tls is not None and not self.encrypted:
            offers.append("STARTTLS")
        else:
            offers.append("AUTH PLAIN LOGIN")
        await self.say(*[f"250-{offer}" for offer in offers[:-1]], f"250 {offers[-1]}")

    async def start_tls(self, rest: str) -> None:
        """STARTTLS; everything said before is forgotten (RFC 3207)."""
        if rest:
            await self.say("501 5.5.4 STARTTLS takes nothing")
        elif self.server.tls is None or self.encrypted:
            await self.say("502 5.5.1 STARTTLS is not offered")
        else:
            await self.say("220 2.0.0 Ready to start TLS")
            await self.writer.start_tls(self.server.tls)
            self.reset()
            self.encrypted, self.greeted, self.extended, self.authenticated = True, False, False, False

    async def auth(self, rest: str) -> None:
        """AUTH PLAIN and AUTH LOGIN, with the first answer on the line or asked for."""
        mechanism, _, initial = rest.partition(" ")
        if not self.extended:
            await self.say("503 5.5.1 EHLO first")
        elif self.server.tls is not None and not self.encrypted:
            await self.say("538 5.7.11 Encryption required for requested authentication mechanism")
        elif self.authenticated:
            await self.say("503 5.5.1 Already authenticated")
        elif self.sender is not None:
            await self.say("503 5.5.1 Not during a mail")
        elif mechanism.upper() not in ("PLAIN", "LOGIN"):
            await self.say("504 5.5.4 Unrecognized authentication type")
        else:
            await self.judge(*await self.credentials(mechanism.upper(), initial))

    async def credentials(self, mechanism: str, initial: str) -> tuple[str, str]:
        """User and password; ("", "") for what is not base64 or was cancelled."""
        if mechanism == "PLAIN":
            given = initial or await self.asked("")
            parts = _decoded(given).split("\0")
            return (parts[1], parts[2]) if len(parts) == 3 else ("", "")
        user = _decoded(initial) if initial else _decoded(await self.asked("Username:"))
        return user, _decoded(await self.asked("Password:"))

    async def asked(self, prompt: str) -> str:
        """One more line of an authentication."""
        await self.say(f"334 {base64.b64encode(prompt.encode()).decode()}")
        return await self.line() or ""

    async def judge(self, user: str, password: str) -> None:
        """Say whether the credentials are good."""
        self.authenticated = self.server.admits(user, password)
        if self.authenticated:
            await self.say("235 2.7.0 Authentication successful")
        else:
            self.record("AUTH", "535 5.7.8", key=user)
            await self.say("535 5.7.8 Authentication credentials invalid")

    async def mail(self, rest: str) -> None:
        """MAIL FROM."""
        found = _PATH.fullmatch(rest[5:].lstrip()) if rest[:5].upper() == "FROM:" else None
        if not self.greeted:
            await self.say("503 5.5.1 EHLO first")
        elif not self.authenticated:
            await self.say("530 5.7.0 Authentication required")
        elif self.sender is not None:
            await self.say("503 5.5.1 A mail has been begun already")
        elif found is None or (found[1] and not _ADDRESS.fullmatch(found[1])):
            await self.say("501 5.1.7 Bad sender address syntax")
        elif (size := re.search(r" SIZE=(\d+)", found[2], re.IGNORECASE)) and int(size[1]) > MAX_MAIL_BYTES:
            await self.say("552 5.3.4 Message size exceeds fixed limit")
        else:
            self.began_at = time.monotonic()
            self.trouble = self.server.meets()
            if self.trouble == "429":
                self.server.refuse("", "429")
                self.record("MAIL", "421 4.7.0", key="")
                await self.say("421 4.7.0 Too many mails, try again later")
                raise _ClosedError
            self.sender = found[1]
            await self.say("250 2.1.0 OK")

    async def recipient(self, rest: str) -> None:
        """RCPT TO."""
        found = _PATH.fullmatch(rest[3:].lstrip()) if rest[:3].upper() == "TO:" else None
        if self.sender is None:
            await self.say("503 5.5.1 MAIL first")
        elif found is None or not _ADDRESS.fullmatch(found[1]):
            await self.say("501 5.1.3 Bad recipient address syntax")
        elif self.server.behaviour(found[1]) == "unknown":
            self.server.refuse(found[1], "550")
            self.record("RCPT", "550 5.1.1", key=found[1])
            await self.say("550 5.1.1 The mailbox does not exist")
        else:
            self.recipients.append(found[1])
            await self.say("250 2.1.5 OK")

    async def data(self, rest: str) -> None:
        """DATA and the mail itself."""
        if rest:
            await self.say("501 5.5.4 DATA takes nothing")
            return
        if self.sender is None or not self.recipients:
            await self.say("503 5.5.1 RCPT first" if self.sender is not None else "503 5.5.1 MAIL first")
            return
        await self.say("354 End data with <CR><LF>.<CR><LF>")
        data, complaint = await self.content()
        sender, recipients, trouble = self.sender, tuple(self.recipients), self.trouble
        self.reset()
        if trouble == "500":
            complaint = "451 4.3.0 Try again later"
        if trouble == "slow":
            await asyncio.sleep(self.server.trouble.slow_s)
        if complaint:
            for address in recipients:
                self.server.refuse(address, complaint.partition(" ")[0])
            self.record("MAIL", complaint, key=", ".join(recipients))
            await self.say(complaint)
            return
        mail = self.server.keep(sender, recipients, data, trouble or "")
        unsaid = trouble in ("reset_after_accept", "hang_after_accept")
        self.record("MAIL", "" if unsaid else "250 2.0.0", key=", ".join(recipients), note=trouble or "", sent=_words(mail))
        if trouble == "reset_after_accept":
            self.writer.transport.abort()
            raise _ClosedError
        if trouble == "hang_after_accept":
            await self.reader.read()  # until the other side gives up
            raise _ClosedError
        await self.say(f"250 2.0.0 OK: kept as {len(self.server.mails)}")

    async def content(self) -> tuple[bytes, str]:
        """The lines up to the lone dot, dots unstuffed; and what is wrong with them, "" when nothing is."""
        data, complaint = bytearray(), ""
        while True:
            line = await self.reader.readuntil(b"\n")
            if line == b".\r\n":
                return bytes(data), complaint
            if not line.endswith(b"\r\n"):
                complaint = complaint or "550 5.6.11 Bare line feeds are not allowed"
            if len(line) > MAX_LINE_BYTES:
                complaint = complaint or "500 5.5.6 Line too long"
            data += line[1:] if line.startswith(b".") else line
            if len(data) > MAX_MAIL_BYTES:
                complaint, data = "552 5.3.4 Message size exceeds fixed limit", bytearray()

    def record(self, verb: str, answer: str, *, key: str, note: str = "", sent: dict[str, str] | None = None) -> None:
        """A line in the ledger of the world: what came of a mail, or of a login that failed. ``answer`` "": there was none."""
        code, _, words = answer.partition(" ")
        row: dict[str, Any] = {"method": verb, "path": "", "action": "mail", "key": key, "status": int(code) if code else None}
        if said := note or (words if int(code or 0) >= 400 else ""):
            row["note"] = said
        if sent:
            row["sent"] = sent
        self.server.record(row, time.monotonic() - self.began_at)

    def reset(self) -> None:
        """Forget the mail that was begun."""
        self.sender, self.trouble = None, None
        self.recipients.clear()

    async def line(self) -> str | None:
        """The next command; None when it was refused already. Raises: asyncio.IncompleteReadError at the end."""
        raw = await self.reader.readuntil(b"\n")
        if len(raw) > MAX_LINE_BYTES or not raw.endswith(b"\r\n"):
            await self.say("500 5.5.2 Command lines end in CRLF and are short")
            return None
        return raw[:-2].decode("utf-8", "replace")

    async def say(self, *lines: str) -> None:
        """Answer."""
        self.writer.write("".join(f"{line}\r\n" for line in lines).encode())
        await self.writer.drain()


def _words(mail: Mail) -> dict[str, str]:
    """For the ledger. A mail that cannot be read is taken all the same."""
    try:
        return {"subject": mail.subject, "text": mail.text}
    except (LookupError, ValueError):
        return {}


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return ""
