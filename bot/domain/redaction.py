"""Secrets in text that people and providers wrote, found by their shape.

``bot.domain.text.clean`` takes them out of whatever enters the domain, the providers out of whatever they keep of a reply. What
is *not* here: the logs' own net, which knows the settings' values and the names of keys too (``bot.logs``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

MASK = "[redacted]"

_SECRETS = re.compile(
    "|".join(
        (
            r"xox[a-z]-[A-Za-z0-9-]+",  # Slack tokens
            r"xapp-[A-Za-z0-9-]+",
            r"\b[sa]k_(?:live|test)_[A-Za-z0-9]+",  # Clerk and Stripe secret keys
            r"whsec_[A-Za-z0-9+/=_-]+",  # Svix and Standard Webhooks
            r"eyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?",  # JSON Web Tokens
            r"-----BEGIN [^-]{1,60}-----.*?(?:-----END [^-]{1,60}-----|$)",
            r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
            r"\bgh[pousr]_\w{20,}",
            r"\bBearer\s+[^\s,;]+",
            r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)",  # user:password in a URL
        )
    ),
    re.IGNORECASE | re.DOTALL,
)


def redact(text: str, known: Iterable[str] = ()) -> str:
    """``text`` with ``known`` secrets, and whatever is shaped like a secret, replaced by ``MASK``."""
    for secret in known:
        if secret:
            text = text.replace(secret, MASK)
    return _SECRETS.sub(MASK, text)
