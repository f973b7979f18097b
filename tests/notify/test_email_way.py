"""Mail as a way to reach people, against a server that fails at every point of the conversation."""

from __future__ import annotations

import asyncio
import base64
import email
import email.policy
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from pydantic import SecretStr

from bot.domain.errors import ConfigError, FencedError, MusterError, PermanentError, TemporaryError, UnknownOutcome
from bot.domain.escalation import Contact, Way
from bot.notify.email import EmailWay, message_of
from bot.providers.http import tls_context
from bot.providers.mail_text import message_id_of
from bot.providers.smtp import MailClient, parse_server
from bot.services.ports import Accepted, Followed, Lease
from tests.notify.conftest import CONTACT, summons
from tests.notify.mail_server import END, GREETING, FaultyMailServer

SENDER = "muster@example.com"
PASSWORD = "CANARY p@ss:word/"
ID = "<inc-42.g1.level-2.cto@muster>"


@pytest.fixture
async def server() -> AsyncIterator[FaultyMailServer]:
    """Not started yet."""
    made = FaultyMailServer()
    yield made
    await made.stop()


def way_to(server: FaultyMailServer, **options: Any) -> EmailWay:
    """The way over this server, with a user and a password."""
    scheme = "smtps" if server.implicit else "smtp"
    url = f"{scheme}://bot%40example.com:CANARY%20p%40ss%3Aword%2F@127.0.0.1:{server.port}"
    return EmailWay(SecretStr(url), SENDER, **{"namespace": "muster", "deadline_s": 20.0, **options})


async def test_a_page_is_a_mail(server: FaultyMailServer) -> None:
    """Signed in, with one sender and one receiver, and a text that says everything."""
    await server.start()
    way = way_to(server)
    assert await way.send(summons()) == Accepted(reference=ID)
    plain = base64.b64encode(f"\0bot@example.com\0{PASSWORD}".encode()).decode()
    assert f"AUTH PLAIN {plain}" in server.conversation
    assert [line for line in server.conversation if line.startswith(("mail", "rcpt", "MAIL", "RCPT"))] == [
        f"mail FROM:<{SENDER}>",
        "rcpt TO:<cto@example.com>",
    ]
    (raw,) = server.mails
    mail = email.message_from_bytes(raw.removesuffix(b".\r\n"), policy=email.policy.default)
    assert mail["Message-ID"] == ID
    assert mail["Subject"] == "SEV1 incident 42: Nobody can sign in"
    assert mail["From"] == f"Muster <{SENDER}>"
    assert mail["To"] == "Chief technology officer <cto@example.com>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail.get_content_type() == "text/plain"
    text = mail.get_content()
    for part in ("Nobody can sign in", "Nobody has acknowledged for 15 min.", "2026-11-20 03:00 UTC", "https://acme.slack.com"):
        assert part in text
    assert "CANARY" not in raw.decode()
    assert (way.way, way.follows) == (Way.EMAIL, False)
    assert (await way.follow(ID, summons(), wanted="open")) == Followed(state="pending")
    assert (await way.follow(ID, summons(), wanted="over")) == Followed(state="closed")


@pytest.mark.parametrize(
    ("answers", "kind", "words"),
    [
        ({GREETING: "554 5.7.1 CANARY"}, PermanentError, r"refused the connection \(554 5.7.1\); check SMTP_URL"),
        ({GREETING: "421 4.3.2 CANARY"}, TemporaryError, "421"),
        ({GREETING: "HTTP/1.1 400 Bad Request"}, TemporaryError, "did not take the mail"),
        ({GREETING: "hang"}, TemporaryError, "no answer"),
        ({GREETING: "drip"}, TemporaryError, "no answer"),
        ({GREETING: "reset"}, TemporaryError, "the connection broke"),
        ({"EHLO": "reset"}, TemporaryError, "the connection broke"),
        ({"EHLO": "500 x", "HELO": "500 x"}, TemporaryError, "did not take the mail"),
        ({"AUTH": "535 5.7.8 CANARY"}, PermanentError, r"refused the sign-in \(535 5.7.8\); check user and password in SMTP_URL"),
        ({"AUTH": "454 4.7.0 CANARY"}, TemporaryError, "454 4.7.0"),
        ({"AUTH": "hang"}, TemporaryError, "no answer"),
        ({"MAIL": "553 5.7.1 CANARY"}, PermanentError, "check SMTP_FROM"),
        ({"MAIL": "451 4.3.0 CANARY"}, TemporaryError, "451"),
        ({"RCPT": "550 5.1.1 CANARY"}, PermanentError, r"\(550 5.1.1\); check email of the contact “cto” in contacts.yml"),
        ({"RCPT": "450 4.2.1 CANARY"}, TemporaryError, "450"),
        ({"RCPT": "hang"}, TemporaryError, "no answer"),
        ({"DATA": "554 5.7.1 CANARY"}, PermanentError, "demands of mails"),
        ({"DATA": "452 4.3.1 CANARY"}, TemporaryError, "452"),
        ({"DATA": "reset"}, TemporaryError, "the connection broke"),
        ({"DATA": "250 what"}, TemporaryError, "did not take the mail"),
        ({END: "552 5.2.3 CANARY"}, PermanentError, "552"),
        ({END: "451 4.3.0 CANARY"}, TemporaryError, "451"),
        ({END: "hang"}, UnknownOutcome, "it may have been sent"),
        ({END: "drip"}, UnknownOutcome, "it may have been sent"),
        ({END: "reset"}, UnknownOutcome, "it may have been sent"),
        ({END: "what?"}, UnknownOutcome, "it may have been sent"),
    ],
)
async def test_every_fault_of_the_conversation(
    server: FaultyMailServer, answers: dict[str, str], kind: type[MusterError], words: str
) -> None:
    """Only behind the last dot is an outcome unknown; nothing of what the server says is repeated but its numbers."""
    server.answers = answers
    await server.start()
    quick = "hang" in answers.values() or "drip" in answers.values()
    way = way_to(server, deadline_s=(2.0 if END in answers else 0.5) if quick else 20.0)  # to come as far as the dot takes time
    with pytest.raises(kind, match=words) as caught:
        await way.send(summons())
    assert type(caught.value) is kind
    assert "CANARY" not in str(caught.value) + repr(caught.value) + repr(way) + repr(vars(way))
    assert len(server.mails) == (1 if END in answers else 0)


async def test_the_repetition_is_the_same_mail(server: FaultyMailServer) -> None:
    """A mail program shows two with the same Message-ID as one."""
    server.answers = {END: "reset"}
    await server.start()
    way = way_to(server)
    with pytest.raises(UnknownOutcome):
        await way.send(summons())
    server.answers = {}
    assert await way.send(summons(look_first=True)) == Accepted(reference=ID)
    assert [raw.count(ID.encode()) for raw in server.mails] == [1, 1]


async def test_a_good_bye_that_fails_does_not_matter(server: FaultyMailServer) -> None:
    """The server has the mail."""
    server.answers = {"QUIT": "reset"}
    await server.start()
    assert await way_to(server).send(summons()) == Accepted(reference=ID)


async def test_nobody_listens() -> None:
    """Nothing was sent."""
    way = EmailWay(SecretStr("smtp://127.0.0.1:9"), SENDER, namespace="muster")
    with pytest.raises(TemporaryError, match="the connection was refused; check SMTP_URL"):
        await way.send(summons())


async def test_nothing_leaves_when_the_lease_has_run_out(server: FaultyMailServer) -> None:
    """Not even a greeting."""
    await server.start()
    with pytest.raises(FencedError):
        await way_to(server).send(summons(lease=Lease(ends_at=time.monotonic() - 1)))
    assert server.conversation == []


class _EndingLease(Lease):
    """Sure at the first look only."""

    looks = 0

    @property
    def is_sure(self) -> bool:
        """See ``Lease``."""
        type(self).looks += 1
        return type(self).looks == 1


async def test_a_lease_that_runs_out_in_the_conversation_ends_it_before_the_dot(server: FaultyMailServer) -> None:
    """A mail without its dot is none."""
    await server.start()
    with pytest.raises(FencedError):
        await way_to(server).send(summons(lease=_EndingLease()))
    await server.gone.wait()
    assert any(line.upper() == "DATA" for line in server.conversation)
    assert server.mails == []


@pytest.mark.parametrize("point", [GREETING, "RCPT", "DATA", END])
async def test_a_cancelled_page_leaves_no_thread_and_no_mail_behind(server: FaultyMailServer, point: str) -> None:
    """The connection is closed under the thread, which ends."""
    server.answers = {point: "hang"}
    await server.start()
    sending = asyncio.create_task(way_to(server, deadline_s=30.0).send(summons()))
    await server.met.wait()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    async with asyncio.timeout(20):
        await server.gone.wait()
        for thread in threading.enumerate():
            if thread.name.startswith("mail"):
                await asyncio.to_thread(thread.join, 20)
    assert not any(thread.name.startswith("mail") for thread in threading.enumerate())
    assert len(server.mails) == (1 if point == END else 0)


def server_context(certificate: Callable[[], tuple[str, str]]) -> ssl.SSLContext:
    """Of a server with that certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate())
    return context


@pytest.mark.parametrize("implicit", [True, False])
async def test_an_authority_of_ones_own_is_made_known_by_the_environment(
    server: FaultyMailServer, certificate: Callable[[], tuple[str, str]], monkeypatch: pytest.MonkeyPatch, implicit: bool
) -> None:
    """SSL_CERT_FILE, for TLS from the first byte and for STARTTLS; nothing but the greeting is said in the clear."""
    server.tls, server.implicit = server_context(certificate), implicit
    await server.start()
    monkeypatch.setenv("SSL_CERT_FILE", certificate()[0])
    tls_context.cache_clear()
    try:
        assert await way_to(server).send(summons()) == Accepted(reference=ID)
    finally:
        tls_context.cache_clear()
    verbs = [line.split(" ")[0].upper() for line in server.conversation]
    assert verbs[: verbs.index("AUTH")] == (["EHLO"] if implicit else ["EHLO", "STARTTLS", "EHLO"])
    assert len(server.mails) == 1


@pytest.mark.parametrize("implicit", [True, False])
async def test_a_certificate_that_nobody_trusts_gets_no_mail_and_no_password(
    server: FaultyMailServer, certificate: Callable[[], tuple[str, str]], implicit: bool
) -> None:
    """On the own machine too."""
    server.tls, server.implicit = server_context(certificate), implicit
    await server.start()
    with pytest.raises(PermanentError, match=r"is not trusted.*SSL_CERT_FILE"):
        await way_to(server).send(summons())
    assert not any(line.upper().startswith(("AUTH", "MAIL")) for line in server.conversation)
    assert server.mails == []


async def test_without_starttls_nothing_is_said_to_another_machine(server: FaultyMailServer) -> None:
    """Only the own machine may be spoken to in the clear; here it is one that is not taken for it."""
    await server.start()
    way = way_to(server)
    object.__setattr__(vars(way)["_client"].server, "may_be_plain", False)
    with pytest.raises(PermanentError, match="offers no STARTTLS"):
        await way.send(summons())
    assert not any(line.upper().startswith(("AUTH", "MAIL")) for line in server.conversation)


async def test_a_server_without_a_sign_in(server: FaultyMailServer) -> None:
    """A user in the URL is a mistake then; without one there is nothing to sign in for."""
    server.offers = ("8BITMIME",)
    await server.start()
    with pytest.raises(PermanentError, match="offers no sign-in"):
        await way_to(server).send(summons())
    bare = EmailWay(SecretStr(f"smtp://127.0.0.1:{server.port}"), SENDER, namespace="muster")
    assert await bare.send(summons()) == Accepted(reference=ID)
    assert not any(line.startswith("AUTH") for line in server.conversation)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtps://u:p%40ss@mail.example.com", ("mail.example.com", 465, True, False, "u", "p@ss")),
        ("smtps://mail.example.com:4650", ("mail.example.com", 4650, True, False, "", "")),
        ("smtp://u%40example.com:p@mail.example.com", ("mail.example.com", 587, False, False, "u@example.com", "p")),
        ("smtp://localhost:25", ("localhost", 25, False, True, "", "")),
        ("smtp://127.0.0.2:25", ("127.0.0.2", 25, False, True, "", "")),
        ("smtp://[::1]:25", ("::1", 25, False, True, "", "")),
        ("smtp://localhost.example.com", ("localhost.example.com", 587, False, False, "", "")),
    ],
)
def test_what_the_url_says(url: str, expected: tuple[Any, ...]) -> None:
    """Ports have their defaults, user and password are percent-decoded, only a loopback address may go without TLS."""
    server = parse_server(SecretStr(url))
    told = (server.host, server.port, server.implicit_tls, server.may_be_plain, server.user, server.password.get_secret_value())
    assert told == expected


@pytest.mark.parametrize("url", ["http://CANARY@h", "smtp://", "smtp://u:%ff@CANARY", "smtp://CANARY:x@h:port", "smtp://[CANARY"])
def test_a_wrong_url_is_named_and_not_repeated(url: str) -> None:
    """It holds a password."""
    with pytest.raises(ConfigError, match="SMTP_URL") as caught:
        parse_server(SecretStr(url))
    assert "CANARY" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_the_sender() -> None:
    """SMTP_FROM, or the user of SMTP_URL when that is an address."""
    url = SecretStr("smtp://bot%40example.com:p@127.0.0.1")
    assert message_of(summons(), sender=MailClient(url, None).sender, namespace="m")["From"] == ("Muster <bot@example.com>")
    for bare in ("smtp://apikey:p@127.0.0.1", "smtp://127.0.0.1"):
        with pytest.raises(ConfigError, match="SMTP_FROM: is not set"):
            EmailWay(SecretStr(bare), None, namespace="m")


def test_a_header_cannot_be_added() -> None:
    """Whatever a title or a name holds, the mail has the headers that we gave it."""
    contact = Contact(id="a", name="Team “A” (ops), <b@example.com>", email="a@example.com")
    mail = message_of(
        summons(title="x\r\nBcc: b@example.com\n\nbody", contact=contact, key="a/b\r\nBcc: c@example.com"),
        sender=SENDER,
        namespace="muster",
    )
    parsed = email.message_from_bytes(mail.as_bytes(), policy=email.policy.default)
    assert set(parsed.keys()) == set(message_of(summons(), sender=SENDER, namespace="muster").keys())
    assert [address.addr_spec for address in parsed["To"].addresses] == ["a@example.com"]
    assert parsed["Subject"] == "SEV1 incident 42: x Bcc: b@example.com body"


def test_other_alphabets_arrive() -> None:
    """In the subject, in a name and in the text; the bytes are ASCII, which every server takes."""
    contact = Contact(id="a", name="Dežurný inžinier", email="a@example.com")
    mail = message_of(summons(title="Prihlásenie nejde 🔥 " + "ü" * 90, contact=contact), sender=SENDER, namespace="muster")
    raw = mail.as_bytes()
    assert raw.isascii()
    assert max(len(line) for line in raw.splitlines()) <= 998
    parsed = email.message_from_bytes(raw, policy=email.policy.default)
    assert "Prihlásenie nejde 🔥" in parsed["Subject"]
    assert "Prihlásenie nejde 🔥" in parsed.get_content()


async def test_a_line_that_is_a_dot_does_not_end_the_mail(server: FaultyMailServer) -> None:
    """RFC 5321, 4.5.2."""
    await server.start()
    await way_to(server).send(summons(why=".", title=". . ."))
    (raw,) = server.mails
    assert raw.endswith(b"\r\n.\r\n")
    assert b"acme.slack.com" in raw


@pytest.mark.parametrize(
    ("key", "namespace", "expected"),
    [
        ("inc-42/g1/level-2/cto", "muster", ID),
        ("inc-42/g1/level-2/cto", "muster/T1", "<inc-42.g1.level-2.cto@muster.T1>"),
    ],
)
def test_the_message_id_comes_from_the_key(key: str, namespace: str, expected: str) -> None:
    """Readable, and the same for every repetition."""
    assert message_id_of(key, namespace=namespace) == expected


def test_a_long_key_has_an_id_of_its_own_that_fits_a_line() -> None:
    """Two long keys that differ at their ends stay apart."""
    first, second = (message_id_of("k" * 199 + end, namespace="muster") for end in "ab")
    assert first != second
    assert message_of(summons(key="k" * 199 + "a"), sender=SENDER, namespace="muster").as_bytes().count(first.encode()) == 1


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("a@example.com", ""),
        (None, "email is not set"),
        ("ä@example.com", "email is no address that every mail server takes"),
        ("a,b@example.com", "email is no address that every mail server takes"),
        ('"a"@example.com', "email is no address that every mail server takes"),
    ],
)
async def test_who_is_reached_that_way(server: FaultyMailServer, address: str | None, expected: str) -> None:
    """The field is named, and nothing is sent."""
    await server.start()
    contact = Contact(id="a", name="A", email=address)
    way = way_to(server)
    assert way.missing(contact) == expected
    if expected:
        with pytest.raises(PermanentError, match=expected):
            await way.send(summons(contact=contact))
        assert server.conversation == []
    assert way.missing(CONTACT) == ""
