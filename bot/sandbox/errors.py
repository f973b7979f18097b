"""How the stand-in says no. Raised by everything that judges a call of the bot, turned into JSON by ``web_api``.

What a *person* of the workspace does wrong (a button that is not there) is a ``UserError`` of the domain instead.
"""

from __future__ import annotations

from typing import Any

from bot.domain.errors import PermanentError


class SlackRefusal(PermanentError):
    """Slack's ``{"ok": false, "error": code}``; ``reasons`` go to ``response_metadata.messages``, ``extra`` beside the error."""

    def __init__(self, code: str, *reasons: str, **extra: Any) -> None:
        super().__init__(f"Slack refused with {code}" + (f": {'; '.join(reasons)}" if reasons else ""), code=code)
        self.reasons = reasons
        self.extra = extra

    def answer(self) -> dict[str, Any]:
        """The JSON body of the refusal."""
        body: dict[str, Any] = {"ok": False, "error": self.code, **self.extra}
        if self.reasons:
            body["response_metadata"] = {"messages": list(self.reasons)}
        return body
