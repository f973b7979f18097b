"""Who cannot be reached as the files want it, and why: one sentence each, for people who can change it.

Called by the rules of `muster check`, at start-up, by `muster doctor` and by the card. What does not belong: trying to reach
somebody (`bot.notify`), and what a file must look like (`bot.storage.escalation_rules`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from bot.domain.catalog import Catalog
from bot.domain.escalation import Condition, Contact, Level, Rotation, Team, Way, resolve_policy

SETTINGS: Mapping[Way, tuple[str, ...]] = MappingProxyType(
    {
        Way.SLACK: (),
        Way.PAGERDUTY: ("PAGERDUTY_ROUTING_KEY",),
        Way.PHONE: ("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TWILIO_FROM"),
        Way.SMS: ("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TWILIO_FROM"),
        Way.EMAIL: ("SMTP_URL",),
    }
)
"""The environment variables without which a way does not work. Slack's are always set where Muster runs."""

FIELDS: Mapping[Way, str] = MappingProxyType(
    {Way.SLACK: "slack", Way.PAGERDUTY: "pagerduty", Way.PHONE: "phone", Way.SMS: "phone", Way.EMAIL: "email"}
)
"""What of a contact a way needs."""

BY: Mapping[Way, str] = MappingProxyType(
    {
        Way.SLACK: "in Slack",
        Way.PAGERDUTY: "by PagerDuty",
        Way.PHONE: "by phone",
        Way.SMS: "by text message",
        Way.EMAIL: "by e-mail",
    }
)
"""As a part of a sentence."""


def configured_ways(is_set: Callable[[str], bool]) -> frozenset[Way]:
    """The ways that work where Muster runs; ``is_set`` tells whether an environment variable has a value there."""
    return frozenset(way for way in Way if all(is_set(name) for name in SETTINGS[way]))


def usable_ways(contact: Contact, via: Iterable[Way], ways: frozenset[Way] | None) -> tuple[Way, ...]:
    """The ways to reach the contact in the order in which they are tried: those of ``via`` first. ``ways`` are those that are
    configured; None: all of them."""
    return tuple(way for way in dict.fromkeys((*via, *contact.ways)) if way in contact.ways and (ways is None or way in ways))


def passed_over(contact: Contact, via: Iterable[Way], ways: frozenset[Way] | None) -> tuple[Way, ...]:
    """The ways of ``via`` that are wanted before the first one that works."""
    wanted = tuple(dict.fromkeys(via))
    first = next(iter(usable_ways(contact, wanted, ways)), None)
    return wanted[: wanted.index(first)] if first in wanted else wanted


def people_of(
    identity: str, *, contacts: Mapping[str, Contact], teams: Mapping[str, Team], rotations: Mapping[str, Rotation]
) -> tuple[Contact, ...]:
    """Everybody who may be meant by the id of a contact, team or rotation. A team without members is a contact of its own: the
    user group. () for what does not exist, and for a rotation of PagerDuty, whose people are not in the files."""
    if identity in teams and not teams[identity].members:
        team = teams[identity]
        return (Contact(id=team.id, name=team.name, slack=team.slack),)
    names: tuple[str, ...] = (identity,)
    if identity in teams:
        names = teams[identity].members
    elif identity in rotations:
        rotation = rotations[identity]
        names = (*rotation.members, *(override.contact for override in rotation.overrides))
    return tuple(contacts[name] for name in dict.fromkeys(names) if name in contacts)


def in_use(catalog: Catalog) -> tuple[Contact, ...]:
    """Everybody whom a severity, the default policy or a runbook may turn to, each once; a policy that no runbook inherits
    wakes nobody."""
    return tuple(need.contact for need in _needs(catalog))


def gaps(catalog: Catalog) -> tuple[str, ...]:
    """A sentence for each contact or team in use who cannot be reached in a way that is wanted of them, or not at all."""
    sentences = (_sentence(need, catalog) for need in _needs(catalog))
    return tuple(sentence for sentence in sentences if sentence)


@dataclass(slots=True)
class _Need:
    """How one contact is wanted, over all places that name them."""

    contact: Contact
    vias: list[tuple[Way, ...]]
    invited: bool = False


def _needs(catalog: Catalog) -> tuple[_Need, ...]:
    needs: dict[str, _Need] = {}
    for identity, via, invited in _wanted(catalog):
        for contact in people_of(identity, contacts=catalog.contacts, teams=catalog.teams, rotations=catalog.rotations):
            need = needs.setdefault(contact.id, _Need(contact, []))
            if invited:
                need.invited = True
            else:
                need.vias.append(via)
    return tuple(needs.values())


def _wanted(catalog: Catalog) -> Iterator[tuple[str, tuple[Way, ...], bool]]:
    """Who is named, with the ways that are wanted of them, and whether they are only to come into the room."""
    for runbook in (None, *catalog.runbooks.values()):
        policy = resolve_policy(catalog, runbook)
        alarms: tuple[Level | Condition, ...] = (*policy.levels, *policy.conditions)
        for alarm in alarms:
            for identity in alarm.notify:
                yield identity, alarm.via, False
    for severity in catalog.severities.values():
        for identity in (*severity.standby, *severity.notify):
            yield identity, severity.via, False
        for identity in severity.invite:
            yield identity, (), True


def _sentence(need: _Need, catalog: Catalog) -> str:
    contact, ways = need.contact, catalog.ways
    if not usable_ways(contact, (), ways):
        return f"{contact.name} cannot be reached at all: {_why_not_at_all(contact, catalog)}."
    missed = tuple(dict.fromkeys(way for via in need.vias for way in passed_over(contact, via, ways)))
    if missed:
        instead = dict.fromkeys(usable_ways(contact, via, ways)[0] for via in need.vias if passed_over(contact, via, ways))
        reasons = dict.fromkeys(obstacle(contact, way, ways) for way in missed)
        return (
            f"{contact.name} is reached {listed(BY[way] for way in instead)} instead of "
            f"{listed((BY[way] for way in missed), 'or')}: {listed(reasons)}."
        )
    if need.invited and contact.slack is None:
        return f"{contact.name} cannot be invited into the room: `slack` of “{contact.id}” is not set."
    return ""


def _why_not_at_all(contact: Contact, catalog: Catalog) -> str:
    if contact.id in catalog.teams:
        return f"neither `slack` nor `members` of “{contact.id}” is set"
    if not contact.ways:
        return f"none of `slack`, `phone`, `email` and `pagerduty` of “{contact.id}” is set"
    return listed(dict.fromkeys(obstacle(contact, way, catalog.ways) for way in contact.ways))


def obstacle(contact: Contact, way: Way, ways: frozenset[Way] | None) -> str:
    """Why the contact cannot be reached that way: what of them, or of Muster's settings, is not set; "" when they can."""
    if way not in contact.ways:
        return lacking(contact, way)
    return unset(way) if ways is not None and way not in ways else ""


def lacking(contact: Contact, way: Way) -> str:
    """That the contact has not what the way needs."""
    return f"`{FIELDS[way]}` of “{contact.id}” is not {'true' if way is Way.PAGERDUTY else 'set'}"


def unset(way: Way) -> str:
    """That the settings of a way that is not configured are not set, as a sentence without its full stop."""
    names = SETTINGS[way]
    return f"{listed(names)} {'is not' if len(names) == 1 else 'are not all'} set"


def listed(parts: Iterable[str], word: str = "and") -> str:
    """ "a", "a and b", "a, b and c"."""
    *front, last = [*parts]
    return f"{', '.join(front)} {word} {last}" if front else last
