"""The values on buttons: what is written is read back, everything else is refused."""

from __future__ import annotations

import pytest

from bot.domain.errors import UserError
from bot.slack.blocks import ids
from bot.slack.listeners.clicks import ACTS


@pytest.mark.parametrize(
    ("value", "target"),
    [
        ("inc-1", ("inc-1", "", "")),
        ("inc-42/confirm", ("inc-42", "confirm", "")),
        ("inc-42/cause/clerk-outage", ("inc-42", "cause", "clerk-outage")),
        ("inc-999999999999/r1", ("inc-999999999999", "r1", "")),
        ("inc-7/false_positive", ("inc-7", "false_positive", "")),
    ],
)
def test_a_value_is_read_back(value: str, target: tuple[str, str, str]) -> None:
    """What ``value`` joins, ``parse`` takes apart."""
    parsed = ids.parse(value)
    assert (parsed.incident_id, parsed.thing, parsed.detail) == target
    assert ids.value(*(part for part in target if part)) == value


@pytest.mark.parametrize(
    "value",
    [
        "",
        "inc-",
        "inc-0",
        "inc-01",
        "inc--1",
        "inc-1/",
        "inc-1//x",
        "inc-1/a/b/c",
        "inc-1/../../v1/user",
        "inc-1/a b",
        "inc-1/<!channel>",
        "inc-1\n",
        "inc-1\x00",
        "inc-١",
        "inc-1e9",
        "inc-NaN",
        "inc-1/" + "x" * 121,
        "inc-1234567890123",
        "{muster:T1}:inc:1",
        '{"incident": "inc-1", "__proto__": {}}',
        "[" * 10_000,
    ],
)
def test_a_forged_value_is_refused(value: str) -> None:
    """Numbers in other alphabets, paths, JSON, keys of Redis: nothing that Muster wrote."""
    with pytest.raises(UserError, match="not one of Muster's"):
        ids.parse(value)


def test_every_id_of_a_button_is_handled() -> None:
    """An action_id that is drawn and does nothing would be a dead button."""
    views_and_shortcuts = {"VIEW_DECLARE", "VIEW_SKIP", "VIEW_RUN", "SHORTCUT_DECLARE", "SHORTCUT_DECLARE_MESSAGE", "LINK"}
    names = {name: value for name, value in vars(ids).items() if name.isupper() and isinstance(value, str)}
    assert {value for name, value in names.items() if name not in views_and_shortcuts} == set(ACTS)
