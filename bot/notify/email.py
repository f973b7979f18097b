"""Mail, as a way to reach people; `bot.providers.smtp` hands it over.

The Message-ID comes from the key of the page, so that a mail program shows a repetition as one.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from datetime import UTC
from email.message import EmailMessage
from typing import Literal

from pydantic import SecretStr

from bot.domain.errors import PermanentError
from bot.domain.escalation import Contact, Way
from bot.notify.wording import headline, request, why
from bot.providers.http import tls_context
from bot.providers.mail_text import is_address, message_id_of, plain_mail
from bot.providers.smtp import DEADLINE_S, MailClient
from bot.services.leases import guard
from bot.services.ports import Accepted, Followed, Summons


class EmailWay:
    """Implements ``PageWay``. Raises: ConfigError when there is no sender."""

    way = Way.EMAIL
    follows = False

    def __init__(
        self,
        url: SecretStr,
        sender: str | None,
        *,
        namespace: str,
        deadline_s: float = DEADLINE_S,
        tls: Callable[[], ssl.SSLContext] = tls_context,
    ) -> None:
        self._client = MailClient(url, sender, deadline_s=deadline_s, tls=tls)
        self._namespace = namespace

    def missing(self, contact: Contact) -> str:
        """See ``PageWay``."""
        if not contact.email:
            return "email is not set"
        return "" if is_address(contact.email) else "email is no address that every mail server takes"

    async def send(self, summons: Summons) -> Accepted:
        """See ``PageWay``; the reference is the Message-ID."""
        missing = self.missing(summons.contact)
        if missing:
            raise PermanentError(f"{summons.contact.name} cannot be reached by e-mail: {missing}", code="not_configured")
        message = message_of(summons, sender=self._client.sender, namespace=self._namespace)
        receiver_is = f"email of the contact “{summons.contact.id}” in contacts.yml"
        await self._client.send(message, receiver_is=receiver_is, check=guard(summons.lease))
        return Accepted(reference=message["Message-ID"])

    async def follow(self, reference: str, summons: Summons, *, wanted: Literal["open", "acknowledged", "over"]) -> Followed:
        """See ``PageWay``: a mail server tells nothing more."""
        return Followed(state="closed" if wanted != "open" else "pending")


def message_of(summons: Summons, *, sender: str, namespace: str) -> EmailMessage:
    """The mail. Raises: PermanentError when a header cannot be written: the texts are clean, so it is the name or the address."""
    lines = [
        headline(summons),
        "",
        why(summons),
        f"Open since {summons.opened_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC.",
        request(summons),
        *(["", f"The incident's room in Slack: {summons.room_url}"] if summons.room_url else []),
    ]
    try:
        return plain_mail(
            sender=sender,
            sender_name="Muster",
            receiver=summons.contact.email or "",
            receiver_name=summons.contact.name,
            subject=headline(summons),
            text="\n".join(lines),
            message_id=message_id_of(summons.key, namespace=namespace),
        )
    except PermanentError as error:
        raise PermanentError(
            f"no mail can be written to {summons.contact.name}; check their name and email in contacts.yml", code=error.code
        ) from error
