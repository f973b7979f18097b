"""The stand-in for a mail server: its dialogue word by word, and as Python's own client sees it."""

from __future__ import annotations

import asyncio
import base64
import shutil
import smtplib
import ssl
from collections.abc import AsyncIterator
from email.message import EmailMessage
from pathlib import Path

import pytest

from bot.sandbox.world import World
from bot.sandbox.world.smtp import MAX_MAIL_BYTES, PASSWORD, USER
from tests.sandbox.mounted_world import BEGAN_AT, MountedWorld, MovedClock

PLAIN = base64.b64encode(f"\0{USER}\0{PASSWORD}".encode()).decode()


class Dialogue:
    """One connection, a line at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def heard(self) -> str:
        """The code of the next answer, "" when the other side has hung up; all lines of it are read."""
        while True:
            line = (await asyncio.wait_for(self.reader.readline(), 5)).decode()
            if line[3:4] != "-":
                return line[:3]

    async def say(self, line: str | bytes) -> str:
        """Say it; the code of the answer."""
        self.writer.write(line if isinstance(line, bytes) else f"{line}\r\n".encode())
        return await self.heard()

    async def signed_in(self) -> Dialogue:
        """After EHLO and AUTH."""
        assert (await self.say("EHLO here"), await self.say(f"AUTH PLAIN {PLAIN}")) == ("250", "235")
        return self


@pytest.fixture
async def dialogue(outside: MountedWorld) -> AsyncIterator[Dialogue]:
    """A connection after the greeting."""
    reader, writer = await asyncio.open_connection("127.0.0.1", outside.world.smtp.port)
    made = Dialogue(reader, writer)
    assert await made.heard() == "220"
    yield made
    writer.close()


def mail(to: str = "oncall@example.com", message_id: str = "<inc-42.on-call@muster>") -> EmailMessage:
    """A mail as a bot would send it."""
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = "muster@example.com", to, "SEV1 incident 42: Anmeldung gestört"
    made["Message-ID"] = message_id
    made.set_content("Nobody can sign in.\n.a line with a dot\n")
    return made


async def send(outside: MountedWorld, *mails: EmailMessage, context: ssl.SSLContext | None = None) -> None:
    """With Python's own client."""

    def sending() -> None:
        with smtplib.SMTP("127.0.0.1", outside.world.smtp.port, timeout=5) as client:
            if context is not None:
                client.starttls(context=context)
            client.login(USER, PASSWORD)
            for one in mails:
                client.send_message(one)

    await asyncio.to_thread(sending)


async def test_a_mail_is_kept_as_it_was(outside: MountedWorld) -> None:
    """Sender, recipients, subject, text with its dots, Message-ID, and a line in the ledger for each recipient."""
    await send(outside, mail("oncall@example.com, lead@example.com"))
    [kept] = outside.world.smtp.mails
    assert (kept.sender, kept.recipients) == ("muster@example.com", ("oncall@example.com", "lead@example.com"))
    assert (kept.subject, kept.message_id) == ("SEV1 incident 42: Anmeldung gestört", "<inc-42.on-call@muster>")
    assert kept.text.splitlines() == ["Nobody can sign in.", ".a line with a dot"]
    assert [(row.at, row.key, row.accepted, row.reference) for row in outside.world.smtp.ledger] == [
        (BEGAN_AT, "oncall@example.com", True, kept.message_id),
        (BEGAN_AT, "lead@example.com", True, kept.message_id),
    ]


async def test_a_mail_sent_twice_is_there_twice(outside: MountedWorld) -> None:
    """A mail server knows nothing of idempotency: one Message-ID, two mails."""
    await send(outside, mail(), mail())
    assert [kept.message_id for kept in outside.world.smtp.mails] == ["<inc-42.on-call@muster>"] * 2


async def test_the_order_of_commands(dialogue: Dialogue, outside: MountedWorld) -> None:
    """Each step needs the one before it; RSET begins a mail anew; nothing is kept of what was not finished."""
    for line, code in (
        ("MAIL FROM:<a@example.com>", "503"),
        ("AUTH PLAIN " + PLAIN, "503"),
        ("EHLO", "501"),
        ("EHLO here", "250"),
        ("MAIL FROM:<a@example.com>", "530"),
        ("AUTH CRAM-MD5", "504"),
        ("AUTH PLAIN " + base64.b64encode(b"\0muster\0wrong").decode(), "535"),
        ("AUTH PLAIN not-base64", "535"),
        ("MAIL FROM:<a@example.com>", "530"),
        ("AUTH PLAIN " + PLAIN, "235"),
        ("AUTH PLAIN " + PLAIN, "503"),
        ("RCPT TO:<b@example.com>", "503"),
        ("DATA", "503"),
        ("MAIL FROM: a@example.com", "501"),
        ("MAIL FROM:<a at example>", "501"),
        (f"MAIL FROM:<a@example.com> SIZE={MAX_MAIL_BYTES + 1}", "552"),
        ("MAIL FROM:<a@example.com> SIZE=100 BODY=8BITMIME", "250"),
        ("MAIL FROM:<a@example.com>", "503"),
        ("DATA", "503"),
        ("RCPT TO:<nobody>", "501"),
        ("RCPT TO:<b@example.com>", "250"),
        ("DATA now", "501"),
        ("RSET", "250"),
        ("DATA", "503"),
        ("NOOP", "250"),
        ("VRFY b", "252"),
        ("STARTTLS", "502"),
        ("EXPN all", "500"),
        ("QUIT", "221"),
    ):
        assert (line, await dialogue.say(line)) == (line, code)
    assert await dialogue.heard() == ""
    assert (outside.world.smtp.mails, outside.world.smtp.ledger) == ([], [])


async def test_login_asks_for_both(dialogue: Dialogue) -> None:
    """AUTH LOGIN with prompts, AUTH PLAIN without an answer on its line, and a plain HELO that offers neither."""
    assert await dialogue.say("HELO here") == "250"
    assert await dialogue.say("AUTH LOGIN") == "503"
    assert await dialogue.say("EHLO here") == "250"
    assert await dialogue.say("AUTH LOGIN") == "334"
    assert await dialogue.say(base64.b64encode(USER.encode()).decode()) == "334"
    assert await dialogue.say(base64.b64encode(b"wrong").decode()) == "535"
    assert await dialogue.say("AUTH PLAIN") == "334"
    assert await dialogue.say(PLAIN) == "235"


async def test_what_is_wrong_with_a_mail(dialogue: Dialogue, outside: MountedWorld) -> None:
    """Too big, a line that is too long, a bare line feed: refused after the data, and nothing is kept."""
    await dialogue.signed_in()
    for data, code in (
        (b"a" * 998 + b"\r\n.\r\n", "250"),
        (b"a" * 999 + b"\r\n.\r\n", "500"),
        (b"a\nb\r\n.\r\n", "550"),
        ((b"a" * 900 + b"\r\n") * 1200 + b".\r\n", "552"),
    ):
        assert await dialogue.say("MAIL FROM:<a@example.com>") == "250"
        assert await dialogue.say("RCPT TO:<b@example.com>") == "250"
        assert await dialogue.say("DATA") == "354"
        assert await dialogue.say(data) == code
    assert len(outside.world.smtp.mails) == 1
    assert [(row.accepted, row.note) for row in outside.world.smtp.ledger][1:] == [(False, "500"), (False, "550"), (False, "552")]
    assert await dialogue.say(b"NOOP\n") == "500"


async def test_addresses_that_are_unknown_or_bounce(outside: MountedWorld) -> None:
    """550 at once, or taken and back a little later, when the clock has moved."""
    outside.world.smtp.behave("nobody@example.com", "unknown")
    outside.world.smtp.behave("Full@example.com", "bounces")
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        await send(outside, mail("nobody@example.com"))
    await send(outside, mail("full@example.com"))
    assert outside.world.smtp.bounces == []
    outside.clock.advance(30)
    await outside.until(lambda: outside.world.smtp.bounces)
    assert [(one.address, one.message_id) for one in outside.world.smtp.bounces] == [
        ("full@example.com", "<inc-42.on-call@muster>")
    ]
    assert [(row.key, row.accepted) for row in outside.world.smtp.ledger] == [
        ("nobody@example.com", False),
        ("full@example.com", True),
    ]


async def test_planted_faults(outside: MountedWorld) -> None:
    """421 and 451 keep nothing; a connection that breaks, or hangs, after the mail was taken leaves it taken."""
    smtp = outside.world.smtp
    smtp.fail_next("429")
    with pytest.raises(smtplib.SMTPResponseException) as too_many:
        await send(outside, mail())
    assert too_many.value.smtp_code == 421
    smtp.fail_next("500")
    with pytest.raises(smtplib.SMTPDataError) as later:
        await send(outside, mail())
    assert later.value.smtp_code == 451
    assert smtp.mails == []
    smtp.fail_next("reset_after_accept")
    with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionResetError)):
        await send(outside, mail())
    assert len(smtp.mails) == 1
    smtp.trouble.slow_s = 0.01
    smtp.fail_next("slow")
    await send(outside, mail())
    assert [row.note for row in smtp.ledger] == ["429", "451", "reset_after_accept", "slow"]


async def test_a_server_that_hangs_after_taking_a_mail(dialogue: Dialogue, outside: MountedWorld) -> None:
    """The mail is there, the answer is not, until the caller hangs up."""
    outside.world.smtp.fault = "hang_after_accept"
    await dialogue.signed_in()
    for line in ("MAIL FROM:<a@example.com>", "RCPT TO:<b@example.com>", "DATA"):
        await dialogue.say(line)
    dialogue.writer.write(b"Subject: x\r\n\r\nx\r\n.\r\n")
    await outside.until(lambda: outside.world.smtp.mails)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(dialogue.reader.readline(), 0.05)


@pytest.mark.parametrize(("option", "code"), [("rate_limited", 421), ("error", 451), ("password_changed", 535)])
async def test_the_switch(outside: MountedWorld, option: str, code: int) -> None:
    """What the page can break."""
    outside.world.set("mail", option)
    with pytest.raises(smtplib.SMTPResponseException) as refused:
        await send(outside, mail())
    assert refused.value.smtp_code == code
    outside.world.set("mail", "ok")
    await send(outside, mail())


async def test_starttls(tmp_path: Path) -> None:
    """With a certificate it is offered, credentials are taken only behind it, and the dialogue begins anew there."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("needs the openssl command, for a certificate; install openssl")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = await asyncio.create_subprocess_exec(
        program, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
        "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate),
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert await made.wait() == 0
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(certificate, key)
    world, clock = World(), MovedClock()
    await world.start(clock, mail_tls=serving)
    reader, writer = await asyncio.open_connection("127.0.0.1", world.smtp.port)
    dialogue = Dialogue(reader, writer)
    assert [await dialogue.heard(), await dialogue.say("EHLO here"), await dialogue.say(f"AUTH PLAIN {PLAIN}")] == [
        "220",
        "250",
        "538",
    ]
    writer.close()

    def sending() -> None:
        with smtplib.SMTP("127.0.0.1", world.smtp.port, timeout=5) as client:
            client.starttls(context=ssl.create_default_context(cafile=str(certificate)))
            client.login(USER, PASSWORD)
            client.send_message(mail())

    await asyncio.to_thread(sending)
    assert [kept.message_id for kept in world.smtp.mails] == ["<inc-42.on-call@muster>"]
    await world.stop()


async def test_starting_and_stopping_twice() -> None:
    """Both are safe to repeat; before the start there is no address to give to a bot, afterwards there is."""
    world, clock = World(), MovedClock()
    with pytest.raises(RuntimeError):
        world.environment("http://127.0.0.1:1", paging=True)
    await world.start(clock)
    port = world.smtp.port
    await world.start(clock)
    assert world.smtp.port == port
    assert str(port) in world.environment("http://127.0.0.1:1", paging=True)["SMTP_URL"]
    assert "SMTP_URL" not in world.environment("http://127.0.0.1:1")
    await world.stop()
    await world.stop()
    await world.start(clock)
    assert world.smtp.port == port  # who was given the address may keep it
    await world.stop()
