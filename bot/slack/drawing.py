"""What a message is once it is drawn, and the signature of whoever draws it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Protocol

from bot.domain.incident import Incident
from bot.domain.room import RoomMessage

Block = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A message ready for Slack: ``text`` is the fall-back for notifications and screen readers."""

    text: str
    blocks: tuple[Block, ...]

    @property
    def digest(self) -> str:
        """Tells whether Slack already shows exactly this."""
        return hashlib.sha256(json.dumps([self.text, self.blocks], sort_keys=True).encode()).hexdigest()[:32]


class Draw(Protocol):
    """Draws one message of an incident; more than one ``Drawn`` when it does not fit into 50 blocks."""

    def __call__(self, message: RoomMessage, incident: Incident) -> tuple[Drawn, ...]:
        """Pure."""
        ...
