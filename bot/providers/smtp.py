"""Handing one mail to the mail server, over SMTP. `bot.notify.email` pages people with it, `bot.actions.email` tells those hit.

The mail server has one chance of `DEADLINE_S`. smtplib blocks, so a conversation runs in a thread of its own; what it does last,
the dot that ends the message, is done under a lock against the loop giving it up: a mail is never sent behind the back of who
was told that it was not. What a mail says does not belong here, and how it is
written is in `bot.providers.mail_text`.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from email.message import EmailMessage
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from bot.domain.errors import ConfigError, MusterError, PermanentError, TemporaryError, UnknownOutcome
from bot.providers.config import SMTP_FROM, SMTP_URL
from bot.providers.http import tls_context
from bot.providers.mail_text import RECEIVER_REFUSED, is_address

DEADLINE_S: Final = 10.0

_ENHANCED_CODE = re.compile(rb"([245]\.\d{1,3}\.\d{1,3})\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class MailServer:
    """What SMTP_URL says. ``may_be_plain``: on the own machine nobody listens in between."""

    host: str
    port: int
    implicit_tls: bool
    may_be_plain: bool
    user: str = ""
    password: SecretStr = field(default_factory=lambda: SecretStr(""))


def parse_server(url: SecretStr) -> MailServer:
    """Raises: ConfigError that names SMTP_URL and repeats nothing of it."""
    try:
        parts = urlsplit(url.get_secret_value())
        host, port = parts.hostname, parts.port
        user, password = (unquote(part or "", errors="strict") for part in (parts.username, parts.password))
    except ValueError:
        raise ConfigError(f"{SMTP_URL}: is not a URL; percent-encode what is special in the user and the password") from None
    if parts.scheme not in ("smtps", "smtp") or not host:
        raise ConfigError(f"{SMTP_URL}: write smtps://user:password@host:465 or smtp://host:587")
    return MailServer(
        host=host,
        port=port or (465 if parts.scheme == "smtps" else 587),
        implicit_tls=parts.scheme == "smtps",
        may_be_plain=parts.scheme == "smtp" and _is_loopback(host),
        user=user,
        password=SecretStr(password),
    )


class MailClient:
    """One mail server with the account that SMTP_URL names, and one sender.

    Raises: ConfigError when the URL is none, or there is no sender.
    """

    def __init__(
        self,
        url: SecretStr,
        sender: str | None,
        *,
        deadline_s: float = DEADLINE_S,
        tls: Callable[[], ssl.SSLContext] = tls_context,
    ) -> None:
        self.server = parse_server(url)
        self.sender = sender or self.server.user
        self._deadline_s = deadline_s
        self._tls = tls
        if not is_address(self.sender):
            raise ConfigError(f"{SMTP_FROM}: is not set, and the user of {SMTP_URL} is no e-mail address; set it to the sender")

    async def send(self, message: EmailMessage, *, receiver_is: str, check: Callable[[], None]) -> None:
        """Hand over ``message``, which has one From and one To. ``receiver_is`` says where to look when the server refuses the
        receiver; ``check`` is called right before the first byte leaves and right before the dot, and what it raises comes out.

        Raises: TemporaryError (not sent, try again), UnknownOutcome (it may have been sent), PermanentError, with the code
            ``RECEIVER_REFUSED`` where it is about the receiver.
        """
        talk = _Conversation(
            self.server, message, receiver_is=receiver_is, deadline_s=self._deadline_s, tls=self._tls, check=check
        )
        thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="mail")  # not the loop's own: they look up Slack's name
        try:
            async with asyncio.timeout(self._deadline_s):
                await asyncio.get_running_loop().run_in_executor(thread, talk.run)
        except TimeoutError as error:
            raise talk.give_up() from error
        except asyncio.CancelledError:
            talk.give_up()
            raise
        finally:
            thread.shutdown(wait=False)


class _TimedSmtp(smtplib.SMTP):
    """Every read and write may take what is left of the deadline. ``on_connection`` is given the bare connection, before TLS."""

    def __init__(
        self,
        server: MailServer,
        *,
        ends_at: float,
        tls: Callable[[], ssl.SSLContext],
        on_connection: Callable[[socket.socket], None],
    ) -> None:
        self._server = server
        self._ends_at = ends_at
        self._tls = tls
        self._on_connection = on_connection
        super().__init__(local_hostname="muster.invalid", timeout=self._left_s())
        self._host = server.host  # starttls checks the certificate against it

    def _left_s(self) -> float:
        return max(0.01, self._ends_at - time.monotonic())

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:  # smtplib's own place for it (SMTP_SSL)
        plain = socket.create_connection((host, port), timeout)
        self._on_connection(plain)
        if not self._server.implicit_tls:
            return plain
        plain.settimeout(self._left_s())
        return self._tls().wrap_socket(plain, server_hostname=host)

    def send(self, s: Any) -> None:
        if self.sock:
            self.sock.settimeout(self._left_s())
        super().send(s)

    def getreply(self) -> tuple[int, bytes]:
        if self.sock:
            self.sock.settimeout(self._left_s())
        return super().getreply()


class _Conversation:
    """One mail handed to the server. ``run`` blocks and belongs into a thread; ``give_up`` ends it from another one."""

    def __init__(
        self,
        server: MailServer,
        message: EmailMessage,
        *,
        receiver_is: str,
        deadline_s: float,
        tls: Callable[[], ssl.SSLContext],
        check: Callable[[], None],
    ) -> None:
        self._server = server
        self._message = message
        self._receiver_is = receiver_is
        self._deadline_s = deadline_s
        self._ends_at = time.monotonic() + deadline_s
        self._tls = tls
        self._check = check
        self._lock = threading.Lock()
        self._given_up = False
        self._dotted = False
        self._smtp: _TimedSmtp | None = None
        self._wire: socket.socket | None = None

    def run(self) -> None:
        """Raises: TemporaryError, PermanentError, UnknownOutcome, FencedError."""
        self._check()
        try:
            self._talk()
        except smtplib.SMTPException as error:
            raise self._broken(error) from error
        except ssl.SSLCertVerificationError as error:
            raise PermanentError(
                f"the certificate of {self._where} is not trusted ({error.verify_message}); check {SMTP_URL}, and make an "
                "authority of your own known with SSL_CERT_FILE",
                code="tls",
            ) from error
        except OSError as error:  # TimeoutError, gaierror and SSLError are among them
            raise self._broken(error) from error
        finally:
            self._close()

    def give_up(self) -> MusterError:
        """No dot is sent any more; what is known of this conversation."""
        with self._lock:
            self._given_up = True
            dotted = self._dotted
            if self._wire is not None:
                with contextlib.suppress(OSError):  # it is over already
                    self._wire.shutdown(socket.SHUT_RDWR)
        reason = f"no answer within {self._deadline_s:g} s"
        return self._unanswered(reason) if dotted else self._unreached(reason)

    @property
    def _where(self) -> str:
        return f"the mail server {self._server.host}:{self._server.port}"

    def _talk(self) -> None:
        smtp = self._smtp = _TimedSmtp(self._server, ends_at=self._ends_at, tls=self._tls, on_connection=self._hold)
        self._expect(smtp.connect(self._server.host, self._server.port), "the connection", SMTP_URL)
        smtp.ehlo_or_helo_if_needed()
        if not self._server.implicit_tls:
            self._start_tls(smtp)
        if self._server.user:
            self._sign_in(smtp)
        sender, receiver = (self._message[name].addresses[0].addr_spec for name in ("From", "To"))
        self._expect(smtp.mail(sender), "the sender", f"{SMTP_FROM}: may this account send from it?")
        self._expect(smtp.rcpt(receiver), "the receiver", self._receiver_is, code=RECEIVER_REFUSED)
        self._hand_over(smtp)

    def _hold(self, connection: socket.socket) -> None:
        """Keep a second handle on the connection: TLS takes the first one away, and with this one the thread can be woken."""
        with self._lock:
            if self._given_up:
                connection.close()
                raise TimeoutError
            self._wire = connection.dup()

    def _start_tls(self, smtp: _TimedSmtp) -> None:
        if smtp.has_extn("starttls"):
            smtp.starttls(context=self._tls())
            smtp.ehlo_or_helo_if_needed()
        elif not self._server.may_be_plain:
            raise PermanentError(
                f"{self._where} offers no STARTTLS, and nothing is sent in the clear; write smtps:// in {SMTP_URL} with the port "
                "for TLS (465), or turn STARTTLS on at the server",
                code="no_starttls",
            )

    def _sign_in(self, smtp: _TimedSmtp) -> None:
        try:
            smtp.login(self._server.user, self._server.password.get_secret_value())
        except smtplib.SMTPServerDisconnected:
            raise
        except smtplib.SMTPResponseException as error:
            self._expect((error.smtp_code, _bytes(error.smtp_error)), "the sign-in", f"user and password in {SMTP_URL}", error)
            raise  # a yes that smtplib took for a no
        except smtplib.SMTPException as error:
            what = f"{self._where} offers no sign-in that Muster knows; leave the user out of {SMTP_URL}, or turn one on there"
            raise PermanentError(what, code="no_auth") from error
        except UnicodeEncodeError as error:
            what = f"{self._where} cannot be told the user or the password of {SMTP_URL}: it has letters outside ASCII"
            raise PermanentError(what, code="no_auth") from error

    def _hand_over(self, smtp: _TimedSmtp) -> None:
        code, said = smtp.docmd("data")
        if code != 354:
            self._expect((code, said), "the message", f"what {self._server.host} demands of mails")
            raise smtplib.SMTPServerDisconnected("not an answer to DATA")
        lines = self._message.as_bytes().splitlines(keepends=True)
        smtp.send(b"".join(b"." + line if line.startswith(b".") else line for line in lines))
        with self._lock:
            if self._given_up:
                return
            self._check()
            self._dotted = True
        smtp.send(b".\r\n")
        self._expect(smtp.getreply(), "the message", f"what {self._server.host} demands of mails")
        with contextlib.suppress(OSError, smtplib.SMTPException):  # it has the mail; how it says good-bye does not matter
            smtp.putcmd("quit")

    def _expect(
        self, answer: tuple[int, bytes], what: str, to_check: str, cause: Exception | None = None, *, code: str = ""
    ) -> None:
        """Nothing for a yes. Only the server's numbers are repeated: its words may hold anything."""
        status, said = answer
        if 200 <= status < 300:
            return
        found = _ENHANCED_CODE.match(said)
        numbers = f"{status} {found[1].decode()}" if found else str(status)
        refused = f"{self._where} refused {what} ({numbers})"
        if 500 <= status < 600:
            raise PermanentError(f"{refused}; check {to_check}", code=code or str(status)) from cause
        if 400 <= status < 500:
            raise TemporaryError(f"{refused} for now; try again in a minute") from cause
        raise smtplib.SMTPServerDisconnected("not an answer of SMTP") from cause

    def _broken(self, error: Exception) -> MusterError:
        with self._lock:
            dotted = self._dotted
        late = time.monotonic() >= self._ends_at  # smtplib calls a read that took too long a broken connection
        reason = "no answer in time" if late else _in_words(error)
        return self._unanswered(reason) if dotted else self._unreached(reason)

    def _unreached(self, reason: str) -> TemporaryError:
        return TemporaryError(f"{self._where} did not take the mail: {reason}; check {SMTP_URL} and the network when it stays so")

    def _unanswered(self, reason: str) -> UnknownOutcome:
        return UnknownOutcome(f"{self._where} was given the mail and did not confirm it: {reason}; it may have been sent")

    def _close(self) -> None:
        with contextlib.suppress(OSError):
            if self._smtp is not None:
                self._smtp.close()
        with self._lock:
            if self._wire is not None:
                self._wire.close()
                self._wire = None


def _in_words(error: Exception) -> str:
    """Without the error's own text, which may be the server's."""
    match error:
        case TimeoutError():
            return "no answer in time"
        case socket.gaierror():
            return "the name was not found"
        case ConnectionRefusedError():
            return "the connection was refused"
        case ssl.SSLError():
            return "no TLS connection"
        case smtplib.SMTPServerDisconnected() | OSError():
            return "the connection broke"
        case _:
            return "it does not speak SMTP as it should"


def _bytes(text: bytes | str) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
