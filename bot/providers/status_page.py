"""A vendor's public status page, read through whichever API the page has.

Called by `bot.actions.clerk`. Hosts move without notice, so the three APIs are tried in turn and the one that answered
is remembered. That none could be read is an error, never "operational". The shapes are in `status_shapes` and
`status_feed`.

A page often lags reality by ten minutes and more: it is one witness, beside our own probes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from bot.domain.errors import PermanentError, TemporaryError
from bot.providers.faults import Refused, Unavailable
from bot.providers.http import Endpoint, ProviderHttp
from bot.providers.status_feed import read_feed
from bot.providers.status_shapes import Level, StatusReading, WrongShapeError, read_v2, read_widget

SOURCE_TIMEOUT_S: Final = 5.0


class StatusPageClient:
    """One page. ``setting`` is the variable that holds its address."""

    def __init__(self, url: str, *, name: str, setting: str, timeout_s: float = SOURCE_TIMEOUT_S) -> None:
        self.url = url.rstrip("/")
        self._name = name
        self._setting = setting
        self._http = ProviderHttp(Endpoint(name=name, base_url=url, base_url_setting=setting), timeout_s=timeout_s)
        self._sources: dict[str, Callable[[], Awaitable[StatusReading]]] = {
            "/api/v1/summary": self._widget,
            "/api/v2/summary.json": self._v2,
            "/feed.rss": self._feed,
        }
        self._last_good: str | None = None

    async def read(self) -> StatusReading:
        """What the page says now. Raises: Unavailable when none of its APIs could be read and understood."""
        failures: list[str] = []
        for path in sorted(self._sources, key=lambda path: path != self._last_good):
            try:
                reading = await self._sources[path]()
            except (TemporaryError, PermanentError) as error:
                failures.append(f"{path}: {_cause(error)}")
                continue
            except WrongShapeError as error:
                failures.append(f"{path}: {error}")
                continue
            self._last_good = path
            return replace(reading, source=path)
        raise Unavailable(
            f"{self._name} could not be read ({', '.join(failures)})",
            remedy=f"open {self.url} yourself, or set {self._setting} to where the page is now",
            reason="network",
        )

    async def aclose(self) -> None:
        await self._http.aclose()

    async def _widget(self) -> StatusReading:
        return read_widget(await self._http.get_json("api", "v1", "summary"))

    async def _v2(self) -> StatusReading:
        """The summary's good news counts only with the list of incidents, its bad news also alone."""
        summary = await self._http.get_json("api", "v2", "summary.json")
        try:
            incidents = await self._http.get_json("api", "v2", "incidents.json")
        except (Refused, Unavailable):
            alone = read_v2(summary, None)
            if alone.level > Level.UNRECOGNISED:
                return alone
            raise
        return read_v2(summary, incidents)

    async def _feed(self) -> StatusReading:
        return read_feed((await self._http.call("GET", "feed.rss")).body)


def _cause(error: TemporaryError | PermanentError) -> str:
    """A few words for the list of what was tried."""
    if isinstance(error, Unavailable):
        return error.reason.replace("_", " ")
    return error.code.replace("_", " ") if isinstance(error, PermanentError) else "no answer"
