"""The values on buttons: what is written is read back, everything else is refused."""

from __future__ import annotations

import pytest

from bot.domain.errors import UserError
from bot.slack.blocks import ids
from bot.slack.listeners.clicks import ACTS
from bot.slack.listeners.forms import SENT


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


@pytest.mark.parametrize(("rotation", "user", "until_s"), [("primary", "U0BOB", 1_795_000_000), ("a-1-b", "W123", 999_999_999)])
def test_a_cover_is_read_back(rotation: str, user: str, until_s: int) -> None:
    """In which rotation, for whom, until when."""
    assert ids.parse_cover(ids.cover_value(rotation, user, until_s)) == (rotation, user, until_s)


@pytest.mark.parametrize(
    "value",
    ["", "inc-1", "primary/U0BOB", "primary/U0BOB/x", "Primary/U0BOB/1795000000", "primary/<!channel>/1795000000",
     "primary/U0BOB/1795000000/x", "primary/U0BOB/99999999999999999999", "primary/U0BOB/1795000000\n", "../U0BOB/1795000000"],
)  # fmt: skip
def test_a_forged_cover_is_refused(value: str) -> None:
    """As every other value that Muster did not write."""
    with pytest.raises(UserError, match="not one of Muster's"):
        ids.parse_cover(value)


def test_every_id_of_a_button_is_handled() -> None:
    """An action_id that is drawn and does nothing would be a dead button, and so would be a form."""
    others = {"SHORTCUT_DECLARE", "SHORTCUT_DECLARE_MESSAGE", "LINK"}
    names = {name: value for name, value in vars(ids).items() if name.isupper() and isinstance(value, str)}
    views = {value for name, value in names.items() if name.startswith("VIEW_")}
    assert {value for name, value in names.items() if name not in others} - views == set(ACTS)
    assert views == set(SENT)
