"""Reading the runbooks again while Muster runs: a good catalog replaces the old one as a whole, a broken one nothing.

Built by ``bot.app``; ``bot.terminal.serve`` asks for it on SIGHUP, so whoever may send signals to the process may reload, and
nobody else. Open incidents keep the runbook that stands in their timeline. What does not belong: what is right and wrong in a
file (`bot.storage.runbook_files`), and the settings, which are read once, at the start.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry, Counter

from bot.domain.catalog import Catalog
from bot.domain.errors import MusterError, TemporaryError
from bot.domain.text import clean
from bot.services.desk import Desk
from bot.services.ports import Clock
from bot.slack.blocks.parts import context, section
from bot.slack.client import SlackApi
from bot.slack.drawing import Block, Drawn
from bot.slack.posting import post
from bot.storage.runbook_files import LoadResult
from bot.storage.yaml_strict import Fault

MOST_TRIES = 5
"""How often the message waits for its turn under Slack's rate limit."""
SHOWN_MOST = 3
"""So many faults tell where to look; `muster check` tells all."""
FAULT_MAX_CHARS = 400
TOLD_AGAIN_AFTER_S = 600
"""The same faults are told once by all replicas together within this time."""

MENDING = (
    "Whoever keeps the runbooks can mend this: `muster check` names every fault, and SIGHUP to the process of Muster "
    "(`kill -HUP`) reads the files again. Until then nobody needs to do anything else."
)

log = structlog.get_logger("muster.reload")


class Reloader:
    """See the module. ``read`` reads the files of ``folder`` (it blocks, and runs in a thread); ``redact`` takes secrets out
    of a text; ``on_catalog`` books what follows from new files."""

    def __init__(
        self,
        *,
        desk: Desk,
        clock: Clock,
        read: Callable[[], LoadResult],
        folder: Path,
        slack: SlackApi,
        channel_id: str,
        redact: Callable[[str], str],
        registry: CollectorRegistry,
        on_catalog: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._desk = desk
        self._clock = clock
        self._read = read
        self._folder = folder
        self._slack = slack
        self._channel_id = channel_id
        self._redact = redact
        self._on_catalog = on_catalog
        self._one_at_a_time = asyncio.Lock()
        self._refusals = 0
        self._reloads = Counter("muster_reloads", "Reloads of the runbooks by outcome", ["outcome"], registry=registry)
        for outcome in ("ok", "refused", "failed"):
            self._reloads.labels(outcome)

    async def whenever(self, asked: asyncio.Event) -> None:
        """Reload each time that ``asked`` is set, until cancelled. Asking several times meanwhile is asking once more."""
        while True:
            await asked.wait()
            asked.clear()
            await self.reload()

    async def reload(self) -> bool:
        """Whether the catalog was replaced. If not, it is as it was, and the incidents channel has been told why."""
        async with self._one_at_a_time:
            try:
                result = await asyncio.to_thread(self._read)
            except Exception:  # a fault of ours: the bot goes on with what it has, and people hear of it
                log.exception("catalog_reload_failed", folder=str(self._folder))
                self._reloads.labels("failed").inc()
                unread = Fault(path=str(self._folder), line=1, column=1, message="could not be read: the log of Muster has more")
                await self._tell([unread])
                return False
            if result.catalog is None:
                await self._refuse([fault for fault in result.faults if fault.level == "error"])
                return False
            self._replace(result.catalog, result.faults)
            await self._follow_up()
            return True

    def _replace(self, catalog: Catalog, faults: Sequence[Fault]) -> None:
        before, self._desk.catalog = self._desk.catalog, catalog
        self._refusals = 0
        self._reloads.labels("ok").inc()
        for fault in faults:
            if fault.level == "warning":
                log.warning("catalog_warning", fault=str(fault))
        log.info("catalog_reloaded", runbooks=len(catalog.runbooks), **_difference(before, catalog))

    async def _follow_up(self) -> None:
        try:
            if self._on_catalog:
                await self._on_catalog()
        except MusterError as error:  # the files are in use all the same; the audit books what is missing
            log.warning("catalog_not_followed_up", error=str(error))

    async def _refuse(self, errors: Sequence[Fault]) -> None:
        self._reloads.labels("refused").inc()
        for fault in errors:
            log.error("catalog_fault", fault=str(fault))
        log.error("catalog_reload_refused", faults=len(errors), kept=len(self._desk.catalog.runbooks))
        await self._tell(errors)

    async def _tell(self, errors: Sequence[Fault]) -> None:
        """Say it in the incidents channel, once for all replicas. Without Slack the log is all that there is."""
        self._refusals += 1
        if not await self._is_first(errors):
            return
        drawn = draw_refusal(errors, self._folder, self._redact)
        for _ in range(MOST_TRIES):
            try:
                await post(self._slack, channel_id=self._channel_id, text=drawn.text, blocks=drawn.blocks)
                return
            except TemporaryError as error:
                if error.retry_after_s is None:
                    log.error("catalog_refusal_untold", error=str(error))
                    return
                await asyncio.sleep(error.retry_after_s)  # its turn in the channel comes
            except MusterError as error:
                log.error("catalog_refusal_untold", error=str(error))
                return
        log.error("catalog_refusal_untold", error=f"Slack's rate limit, {MOST_TRIES} times")

    async def _is_first(self, errors: Sequence[Fault]) -> bool:
        """Every replica is sent the signal and reads the same files; the one that is here first speaks."""
        window = int(self._clock.now().timestamp()) // TOLD_AGAIN_AFTER_S
        said = hashlib.sha256("\n".join(map(str, errors)).encode(errors="backslashreplace")).hexdigest()[:16]
        try:
            return await self._desk.is_first(f"reload:{window}:{self._refusals}:{said}")
        except MusterError as error:  # rather twice than not at all
            log.warning("catalog_refusal_unshared", error=str(error))
            return True


def draw_refusal(errors: Sequence[Fault], folder: Path, redact: Callable[[str], str]) -> Drawn:
    """What the incidents channel is told: how many faults, the first few with their place, who can mend it."""
    count = f"{len(errors)} error{'s' * (len(errors) != 1)}"
    head = f"⚠️ *The runbooks were not reloaded: {count}.* Muster goes on with those from before; open incidents keep theirs."
    blocks: list[Block] = [section(head)]
    blocks.extend(_literally(redact(_told(fault, folder))) for fault in errors[:SHOWN_MOST])
    more = f"… and {len(errors) - SHOWN_MOST} more. " if len(errors) > SHOWN_MOST else ""
    blocks.append(context(more + MENDING))
    return Drawn(text=f"The runbooks were not reloaded: {count}. Muster goes on with those from before.", blocks=tuple(blocks))


def _told(fault: Fault, folder: Path) -> str:
    """In one line, the path as it is called inside the folder."""
    return clean(str(fault).removeprefix(f"{folder}/"), max_chars=FAULT_MAX_CHARS)


def _literally(text: str) -> Block:
    """As it is: no mentions, no links, and no emoji, which the “:100:” of a line and column would become."""
    return {"type": "section", "text": {"type": "plain_text", "text": text, "emoji": False}}


def _difference(before: Catalog, after: Catalog) -> Mapping[str, list[str]]:
    """The ids of the runbooks that are new, gone and different."""
    return {
        "added": sorted(after.runbooks.keys() - before.runbooks.keys()),
        "removed": sorted(before.runbooks.keys() - after.runbooks.keys()),
        "changed": sorted(key for key, value in after.runbooks.items() if before.runbooks.get(key, value) != value),
    }
