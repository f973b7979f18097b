"""A mail as text: addresses, ids, headers. Handing it over is the business of `bot.providers.smtp`, which is loaded later."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as MAIL_POLICY
from typing import Final

from bot.domain.errors import PermanentError

RECEIVER_REFUSED: Final = "receiver_refused"
"""The code of a PermanentError that is about one receiver only; with any other, no mail of this server's would get through."""

_ADDRESS = re.compile(r"[^@\s<>,;:()\"\\]+@[^@\s<>,;:()\"\\]+\.[^@\s<>,;:()\"\\]+")
_ID_MAX_CHARS = 50


def is_address(text: str) -> bool:
    """An address that every mail server takes: one, bare, and ASCII."""
    return text.isascii() and text.isprintable() and len(text) <= 254 and _ADDRESS.fullmatch(text) is not None


def message_id_of(key: str, *, namespace: str) -> str:
    """ "<inc-42.g1.level-2.cto@muster>": the same for every repetition of a mail, so that a mail program shows it once."""
    left, right = (re.sub(r"[^A-Za-z0-9_-]+", ".", part).strip(".") for part in (key, namespace))
    if len(left) > _ID_MAX_CHARS:  # a header line holds no more, and a folded one is taken for another id
        left = f"{left[: _ID_MAX_CHARS - 13]}.{hashlib.sha256(left.encode()).hexdigest()[:12]}"
    return f"<{left}@{right}>"


def plain_mail(
    *, sender: str, receiver: str, subject: str, text: str, message_id: str, sender_name: str = "", receiver_name: str = ""
) -> EmailMessage:
    """The mail, which answers of machines need not answer. The policy refuses a line break in a header.

    Raises: PermanentError when a header cannot be written so.
    """
    message = EmailMessage(policy=MAIL_POLICY)
    try:
        message["From"] = Address(sender_name, addr_spec=sender)
        message["To"] = Address(receiver_name, addr_spec=receiver)
        message["Subject"] = subject
        message["Message-ID"] = message_id
        message["Date"] = datetime.now(UTC)
        message["Auto-Submitted"] = "auto-generated"
    except (ValueError, MessageError) as error:
        raise PermanentError("a header of the mail cannot be written", code="header") from error
    message.set_content(text, cte="quoted-printable")
    return message
