"""What the JSON of a public status page says: two shapes, one reading. Pure; called by `bot.providers.status_page`.

The widget API of incident.io (`/api/v1/summary`) lists trouble only. The API of Statuspage (`/api/v2/…`), which others
imitate, has an indicator, components and incidents, and each host fills in a different part: the worst of all counts.
A word that nobody has documented is never read as good news.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from bot.providers.foreign import foreign_text


class Level(IntEnum):
    """How bad it is, worst last. `UNRECOGNISED`: the page says something in a word that is not known here."""

    OPERATIONAL = 0
    UNRECOGNISED = 1
    UNDER_MAINTENANCE = 2
    DEGRADED_PERFORMANCE = 3
    PARTIAL_OUTAGE = 4
    FULL_OUTAGE = 5

    @property
    def words(self) -> str:
        return self.name.lower().replace("_", " ")


@dataclass(frozen=True)
class StatusReading:
    """What a page said. An incident is a line ("Sign-in errors: investigating, full outage"), a component a name."""

    level: Level
    incidents: tuple[str, ...] = ()
    components: tuple[str, ...] = ()
    source: str = ""


class WrongShapeError(ValueError):
    """This is not an answer of that API: nothing may be concluded from it."""


_LEVELS: Final[dict[str, Level]] = {
    "none": Level.OPERATIONAL,
    "operational": Level.OPERATIONAL,
    "up": Level.OPERATIONAL,  # Instatus
    "maintenance": Level.UNDER_MAINTENANCE,
    "under_maintenance": Level.UNDER_MAINTENANCE,
    "undermaintenance": Level.UNDER_MAINTENANCE,  # Instatus
    "minor": Level.DEGRADED_PERFORMANCE,
    "degraded_performance": Level.DEGRADED_PERFORMANCE,
    "hasissues": Level.DEGRADED_PERFORMANCE,  # Instatus
    "major": Level.PARTIAL_OUTAGE,
    "partial_outage": Level.PARTIAL_OUTAGE,
    "critical": Level.FULL_OUTAGE,
    "major_outage": Level.FULL_OUTAGE,  # Statuspage
    "full_outage": Level.FULL_OUTAGE,  # incident.io
}
CLOSED: Final = frozenset({"resolved", "postmortem", "completed"})
_MAINTENANCE_NOW: Final = frozenset({"in_progress", "verifying", "maintenance_in_progress"})


class _Shape(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, defer_build=True)


class _WidgetComponent(_Shape):
    name: str = ""
    current_status: str = ""


class _WidgetEvent(_Shape):
    name: str = ""
    status: str = ""
    current_worst_impact: str = ""
    affected_components: tuple[_WidgetComponent, ...] = ()


class _Widget(_Shape):
    ongoing_incidents: tuple[_WidgetEvent, ...]
    in_progress_maintenances: tuple[_WidgetEvent, ...] = ()


class _Indicator(_Shape):
    indicator: str


class _Component(_Shape):
    name: str = ""
    status: str


class _Event(_Shape):
    name: str = ""
    status: str = ""
    impact: str = ""


class _Page(_Shape):
    status: str | None = None


class _Summary(_Shape):
    page: _Page = _Page()
    status: _Indicator | None = None
    components: tuple[_Component, ...] = ()
    incidents: tuple[_Event, ...] = ()
    scheduled_maintenances: tuple[_Event, ...] = ()


class _Incidents(_Shape):
    incidents: tuple[_Event, ...]


def level_of(word: str) -> Level:
    """The level that a status or impact word stands for."""
    return _LEVELS.get(word.casefold().replace(" ", "_"), Level.UNRECOGNISED)


def read_widget(body: Any) -> StatusReading:
    """`/api/v1/summary` of incident.io: empty lists are good news. Raises: WrongShapeError."""
    try:
        widget = _Widget.model_validate(body)
    except ValidationError as error:
        raise WrongShapeError("no list of ongoing incidents") from error
    incidents = [(event, _widget_level(event)) for event in widget.ongoing_incidents]
    maintenances = [(event, Level.UNDER_MAINTENANCE) for event in widget.in_progress_maintenances]
    affected = [
        component.name
        for event, _ in (*incidents, *maintenances)
        for component in event.affected_components
        if level_of(component.current_status) != Level.OPERATIONAL
    ]
    return StatusReading(
        level=max((level for _, level in (*incidents, *maintenances)), default=Level.OPERATIONAL),
        incidents=tuple(incident_line(event.name, event.status, level) for event, level in (*incidents, *maintenances)),
        components=names(affected),
    )


def read_v2(summary_body: Any, incidents_body: Any | None) -> StatusReading:
    """`/api/v2/summary.json` with `/api/v2/incidents.json` (None: not read). Raises: WrongShapeError.

    On incident.io an open incident may be missing from the summary and its components be empty, hence the second list.
    """
    try:
        summary = _Summary.model_validate(summary_body)
        listed = _Incidents.model_validate(incidents_body).incidents if incidents_body is not None else ()
    except ValidationError as error:
        raise WrongShapeError("no indicator or no list of incidents") from error
    indicator = summary.status.indicator if summary.status else summary.page.status
    if not indicator:
        raise WrongShapeError("no indicator")
    incidents = {
        event.name: (event, max(level_of(event.impact), Level.DEGRADED_PERFORMANCE))
        for event in (*summary.incidents, *listed)
        if event.status.casefold() not in CLOSED
    }
    maintenances = [
        (event, Level.UNDER_MAINTENANCE)
        for event in summary.scheduled_maintenances
        if event.status.casefold() in _MAINTENANCE_NOW
    ]
    troubled = [part for part in summary.components if level_of(part.status) != Level.OPERATIONAL]
    events = (*incidents.values(), *maintenances)
    levels = [level_of(indicator), *(level for _, level in events), *(level_of(part.status) for part in troubled)]
    return StatusReading(
        level=max(levels),
        incidents=tuple(incident_line(event.name, event.status, level) for event, level in events),
        components=names(part.name for part in troubled),
    )


def incident_line(name: str, status: str, level: Level) -> str:
    """ "Sign-in errors: investigating, full outage"."""
    phase = foreign_text(status, max_chars=40).replace("_", " ")  # only after the redaction, which knows secrets by "_"
    said = ", ".join(part for part in (phase, level.words) if part)
    return f"{foreign_text(name) or 'An incident without a name'}: {said}"


def names(components: Iterable[str]) -> tuple[str, ...]:
    """Clean names, each once, in the order of the page."""
    return tuple(dict.fromkeys(name for name in (foreign_text(part, max_chars=60) for part in components) if name))


def _widget_level(event: _WidgetEvent) -> Level:
    """An ongoing incident is trouble, also when its impact is a word that is not known here."""
    impacts = [event.current_worst_impact, *(component.current_status for component in event.affected_components)]
    return max(Level.DEGRADED_PERFORMANCE, *(level_of(impact) for impact in impacts))
