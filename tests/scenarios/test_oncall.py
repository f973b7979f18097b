"""``/oncall``: who is on duty, how everybody is reached, and swaps, with a page that finds whoever covers."""

from __future__ import annotations

import asyncio
import itertools
import json
import shutil
import signal
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml

from bot.domain.duty import Cover
from bot.sandbox.faults import FaultKind
from bot.sandbox.world import pagerduty
from bot.slack.blocks.parts import BLOCKS_MAX, MESSAGE_BLOCKS_MAX_CHARS, text_length
from bot.slack.listeners.duty_grammar import DUTY_FORMS
from tests.conftest import ROOT
from tests.scenarios.conftest import Stage, faults_at_the_end, said, staged
from tests.scenarios.test_bad_input import RedisProcess

Json = dict[str, Any]

HOUR_S = 3600.0
ALPHA = {"id": "alpha", "name": "Alpha engineer", "slack": "U0DEVELOPER", "phone": "+15551230001"}
BETA = {"id": "beta", "name": "Beta engineer", "slack": "U0LEAD"}
PRIMARY = {
    "id": "primary",
    "name": "Primary on-call",
    "members": ["alpha", "beta"],
    "every": "day",
    "at": f"{(datetime.now(UTC) + timedelta(hours=12)):%H}:00",
    "timezone": "UTC",
    "starts": "2026-01-01",
}
FOREVER = {**PRIMARY, "members": ["alpha"], "timezone": "Europe/Berlin"}
"""Alpha is always on duty: what does not depend on the day. (Of the others, nobody's turn ends while the tests run.)"""


def folder_with(path: Path, *, rotations: list[Json], level_1: str = "primary", contacts: list[Json] | None = None) -> str:
    """The files of the repository with these rotations, the first level of the default policy being ``level_1``."""
    folder = path / "runbooks"
    shutil.copytree(ROOT / "runbooks", folder)
    file = folder / "contacts.yml"
    loaded = yaml.safe_load(file.read_text("utf-8"))
    loaded["contacts"] += [ALPHA, BETA, *(contacts or [])]
    loaded["rotations"] = rotations
    default = next(policy for policy in loaded["policies"] if policy["id"] == "default")
    default["levels"][0] = {"level": 1, "title": "Primary", "after": "0m", "until": "acknowledged", "notify": [level_1]}
    file.write_text(yaml.safe_dump(json.loads(json.dumps(loaded)), allow_unicode=True), "utf-8")  # without aliases
    return str(folder)


class Begin:
    """Starts a bot with other files."""

    def __init__(self, stage: Stage, path: Path) -> None:
        self.stage = stage
        self._path = path

    async def __call__(self, *rotations: Json, **options: Any) -> Stage:
        self.stage.environment["MUSTER_RUNBOOKS"] = folder_with(self._path, rotations=list(rotations), **options)
        await self.stage.start()
        return self.stage


@pytest.fixture
def own_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisProcess]:
    """A server that the test freezes and kills."""
    process = RedisProcess(tmp_path_factory.mktemp("r"))
    process.start()
    yield process
    process.stop()


@pytest.fixture
async def begin(redis_url: str, tmp_path: Path) -> AsyncIterator[Begin]:
    """See ``Begin``. At the end, everything that was said to Slack is judged."""
    async with staged(f"{redis_url}?db=1") as stage:
        yield Begin(stage, tmp_path)
        await stage.sandbox.courier.stop()
        await stage.stop()
        faults = faults_at_the_end(stage.sandbox)
        assert not faults, "\n".join(dict.fromkeys(faults))


async def told(stage: Stage, user: str, text: str, channel: str = "general") -> str:
    """What the answer to a command says."""
    result = await stage.workspace.command(user, channel, text)
    assert result.ok, result.error
    assert result.response
    return said(result.response)


async def covers(stage: Stage) -> list[tuple[str, str]]:
    """(rotation, who covers), in the order in which it was said."""
    return [(cover.rotation, cover.user_id) for cover in await stage.muster.store.covers()]


async def clicked(stage: Stage, user: str, message: Json, channel: str = "general") -> Any:
    return await stage.click(user, channel, message, "cover_duty")


async def asked_for_cover(stage: Stage, text: str = "/oncall cover for me for 2h", user: str = "developer") -> Json:
    """The question in the channel."""
    await told(stage, user, text)
    message: Json = await stage.sees("general", "asks for cover")
    return message


# -- who is on duty ------------------------------------------------------------------------------------------------


async def test_without_rotations_the_contacts_are_shown_with_their_ways(stage: Stage) -> None:
    """Who is behind a handle, what reaches them, and what is not set up."""
    text = await told(stage, "developer", "/oncall")
    assert "There are no rotations in contacts.yml" in text
    assert "• On-call engineer (<@U0ONCALL>) `on-call`: Slack ✓ · PagerDuty ✓" in text or "PagerDuty ✗" in text
    assert "• Engineering lead (<@U0LEAD>) `engineering-lead`: Slack ✓" in text
    assert "⚠️ cannot be reached: no way is set in contacts.yml" in text


async def test_every_rotation_says_who_until_when_and_who_is_next(begin: Begin) -> None:
    """By the files, at this moment."""
    stage = await begin(FOREVER, {**PRIMARY, "id": "daily", "name": "Daily"}, {**PRIMARY, "id": "later", "starts": "2099-01-01"})
    text = await told(stage, "developer", "/oncall")
    assert "• *Primary on-call* (`primary`): Alpha engineer (<@U0DEVELOPER>)" in text
    daily = next(line for line in text.splitlines() if "`daily`" in line)
    first, second = ("Alpha", "Beta") if "Alpha engineer (<@U0DEVELOPER>) until" in daily else ("Beta", "Alpha")
    assert f"{first} engineer (<@" in daily
    assert daily.endswith(f"then {second} engineer")
    assert "(`later`): ⚠️ nobody yet; Alpha engineer from <!date^" in text


async def test_one_rotation_shows_its_next_hand_overs(begin: Begin) -> None:
    """Four of them; by id or by name, whatever the case."""
    stage = await begin(FOREVER, {**PRIMARY, "id": "daily", "name": "Daily duty"})
    for name in ("daily", "DAILY DUTY"):
        text = await told(stage, "developer", f"/oncall {name}")
        assert text.count(" → ") == 4
        assert "Alpha engineer → Beta engineer" in text
    assert "There is no hand-over." in await told(stage, "developer", "/oncall primary")
    assert "Takes turns in: Primary on-call, Daily duty" in await told(stage, "developer", "/oncall alpha")


@pytest.mark.parametrize("name", ["primry", "<!channel>", "x" * 100_000, "nobody at all"])
async def test_an_unknown_name_is_answered_with_the_nearest(begin: Begin, name: str) -> None:
    """And shown literally."""
    stage = await begin(FOREVER)
    text = await told(stage, "developer", f"/oncall {name}")
    assert "is no rotation and no contact in contacts.yml" in text
    assert "<!channel>" not in text
    assert len(text) < 1_000
    if name == "primry":
        assert "Did you mean `/oncall primary`?" in text


async def test_a_hundred_rotations_fit(begin: Begin) -> None:
    """What does not fit is counted; Slack takes the message."""
    many = [{**PRIMARY, "id": f"rotation-{n}", "name": f"{n} " + "&" * 100} for n in range(100)]
    stage = await begin(*many, level_1="rotation-0")
    result = await stage.workspace.command("developer", "general", "/oncall")
    assert result.response
    text = said(result.response)
    assert "(`rotation-0`)" in text
    assert "more rotations: `/oncall <name>` shows one" in text
    assert len(result.response["blocks"]) <= BLOCKS_MAX
    assert text_length(result.response["blocks"]) <= MESSAGE_BLOCKS_MAX_CHARS
    assert all(line.endswith("engineer") for line in text.splitlines() if "rotation-" in line and line.startswith("•"))


ASKED = {"id": "asked", "name": "Asked", "pagerduty": {"schedule": "PSCHED1"}}


async def test_pagerduty_is_asked_who_is_on_call(begin: Begin) -> None:
    """Their address is looked up in Slack; a cover goes before what PagerDuty says."""
    stage = await begin(FOREVER, asked_of(begin), level_1="asked")
    assert "(`asked`): On-call engineer (<@U0ONCALL>), says PagerDuty" in await told(stage, "developer", "/oncall")
    assert "PagerDuty has the hand-overs." in await told(stage, "developer", "/oncall asked")
    await told(stage, "cto", "/oncall cover for @oncall for 2h")
    assert "(`asked`): <@U0CTO> covers until" in await told(stage, "developer", "/oncall asked")
    assert "You cover for nobody" in await told(stage, "developer", "/oncall cover end")
    text = await told(stage, "cto", "/oncall cover end")
    assert "<@U0CTO> does not cover *Asked* any more: whoever PagerDuty says is on duty again." in text
    assert await covers(stage) == []
    assert "(`asked`): On-call engineer (<@U0ONCALL>), says PagerDuty" in await told(stage, "developer", "/oncall asked")


def asked_of(begin: Begin) -> Json:
    """A rotation that the world's PagerDuty knows."""
    stage = begin.stage
    stage.environment["PAGERDUTY_API_TOKEN"] = pagerduty.API_TOKEN
    stage.environment["PAGERDUTY_API_URL"] = f"{stage.sandbox.url}/pagerduty/api"
    return {"id": "asked", "name": "Asked", "pagerduty": {"schedule": pagerduty.SCHEDULE}}


async def test_pagerduty_is_not_waited_for(begin: Begin) -> None:
    """Where it does not answer in time, that is said, and the rest is there all the same."""
    stage = await begin(FOREVER, asked_of(begin))
    stage.world.plant("pagerduty", "hang")
    text = await told(stage, "developer", "/oncall")
    assert "• *Primary on-call* (`primary`): Alpha engineer" in text
    assert "• *Asked* (`asked`): ❔ PagerDuty did not answer" in text
    text = await told(stage, "cto", "/oncall cover for me for 2h")
    assert "You are not on duty in any rotation now" in text
    assert "Who is in Asked cannot be found out at the moment" in text
    stage.world.clear_faults()


async def test_pagerduty_that_cannot_be_asked_says_what_to_set(begin: Begin) -> None:
    """The others are there all the same."""
    stage = await begin(FOREVER, ASKED)
    text = await told(stage, "developer", "/oncall")
    assert "• *Asked* (`asked`): ❔ PagerDuty knows who is on call in Asked, and cannot be asked; set PAGERDUTY_API_TOKEN" in text


async def test_a_guest_is_not_answered(begin: Begin) -> None:
    """Whom to call is the business of the members."""
    stage = await begin(FOREVER)
    assert "Guests and people of other workspaces cannot do that" in await told(stage, "guest", "/oncall", channel="support")
    assert "Alpha" not in await told(stage, "guest", "/oncall primary", channel="support")


async def test_help_says_what_can_be_typed(begin: Begin) -> None:
    """From the table that the parser uses; what looks like a swap and is none is answered with it."""
    stage = await begin(FOREVER)
    text = await told(stage, "developer", "/oncall help")
    for form in DUTY_FORMS:
        assert form.help in text
    text = await told(stage, "developer", "/oncall cover for alpha until six")
    assert "Nothing was changed: Muster does not understand “cover for alpha until six”" in text
    assert "`/oncall cover for me until 18:00`" in text
    assert await covers(stage) == []


async def test_another_name_of_the_incident_command_leaves_this_one(begin: Begin) -> None:
    """The demo's and a team's own: /oncall stays what it is."""
    stage = await begin(FOREVER)
    assert "`/oncall`" in await told(stage, "developer", "/incident help")


# -- swaps ---------------------------------------------------------------------------------------------------------


async def page_of(stage: Stage, user: str, count: int = 1) -> Json:
    """The newest page of somebody, once there are so many."""
    return (await stage.wait(lambda: len(stage.workspace.dm(user)) >= count and stage.workspace.dm(user), f"page {count}"))[-1]


async def test_somebody_presses_that_they_cover(begin: Begin) -> None:
    """The question names the rotation, the asker and the time; the answer stands in its place, and is announced."""
    stage = await begin(FOREVER)
    question = await asked_for_cover(stage)
    text = said(question)
    assert "<@U0DEVELOPER> asks for cover of *Primary on-call* until <!date^" in text
    assert "Europe/Berlin" in text
    await clicked(stage, "engineering-lead", question)
    line = "<@U0LEAD> covers *Primary on-call* for <@U0DEVELOPER> until <!date^"
    answered = await stage.sees("general", line)
    assert "I cover" not in said(answered)
    await stage.sees("incidents", line)
    assert await covers(stage) == [("primary", "U0LEAD")]
    assert "<@U0LEAD> covers for Alpha engineer until" in await told(stage, "developer", "/oncall")


async def test_a_page_meanwhile_goes_to_whoever_covers(begin: Begin) -> None:
    """And when the time is over, to whoever's turn it is."""
    stage = await begin(FOREVER)
    await clicked(stage, "engineering-lead", await asked_for_cover(stage))
    await stage.sees("incidents", "<@U0LEAD> covers")
    await stage.workspace.command("support-agent", "support", "/incident clerk down")
    assert "you are on call" in said(await page_of(stage, "engineering-lead"))
    assert stage.workspace.dm("developer") == []
    (room,) = await stage.wait(stage.rooms, "the room")
    await stage.wait(lambda: "U0LEAD" in room.members, "who covers is in the room")
    await stage.click("engineering-lead", "@muster", stage.workspace.dm("engineering-lead")[-1], "acknowledge")
    await told(stage, "engineering-lead", "/incident resolve", channel=room.name)
    await stage.sandbox.settled()
    await stage.advance(2 * HOUR_S + 60)
    before = len(stage.workspace.dm("engineering-lead"))
    await stage.workspace.command("support-agent", "support", "/incident clerk emergency")
    await page_of(stage, "developer")
    assert len(stage.workspace.dm("engineering-lead")) == before
    assert await covers(stage) == []


async def test_the_first_who_presses_has_it(begin: Begin) -> None:
    """The others read who it is; nothing is written twice."""
    stage = await begin(FOREVER)
    question = await asked_for_cover(stage)
    await asyncio.gather(*(clicked(stage, user, question) for user in ("engineering-lead", "cto", "oncall")))
    answered = await stage.sees("general", "covers *Primary on-call* for <@U0DEVELOPER>")
    written = await covers(stage)
    assert len(written) == 1
    assert f"<@{written[0][1]}> covers" in said(answered)
    refused = {"U0LEAD": "engineering-lead", "U0CTO": "cto", "U0ONCALL": "oncall"}
    del refused[written[0][1]]
    for user in refused.values():

        def is_told(user: str = user) -> bool:
            shown = [said(message) for message in stage.messages("general", user=user)]
            return any("covers it already" in text or "Somebody was faster" in text for text in shown)

        await stage.wait(is_told, f"the refusal to {user}")


@pytest.mark.parametrize(
    ("user", "answer"),
    [("developer", "Nobody can cover for themselves"), ("guest", "Guests and people of other workspaces cannot do that")],
)
async def test_not_everybody_may_press(begin: Begin, user: str, answer: str) -> None:
    """Nothing is written, and the question stays."""
    stage = await begin(FOREVER)
    await told(stage, "developer", "/oncall cover for me for 2h", channel="support")
    question = await stage.sees("support", "asks for cover")
    await clicked(stage, user, question, "support")
    await stage.sees("support", answer, user=user)
    assert await covers(stage) == []
    assert "I cover" in said(stage.messages("support")[-1]) or "asks for cover" in said(question)


async def test_an_old_question_is_not_answered_any_more(begin: Begin) -> None:
    """Its time is over."""
    stage = await begin(FOREVER)
    question = await asked_for_cover(stage)
    await stage.advance(2 * HOUR_S + 1)
    await clicked(stage, "cto", question)
    await stage.sees("general", "That time is over already", user="cto")
    assert await covers(stage) == []


@pytest.mark.parametrize("value", ["primary/U0CTO/1895000000", "gone/U0DEVELOPER/4000000000", "inc-1", "primary/U0DEVELOPER/9"])
async def test_a_forged_question_changes_nothing(begin: Begin, value: str) -> None:
    """Somebody who is not on duty, a rotation that is gone, another button's value, the past."""
    stage = await begin(FOREVER)
    element = {"type": "button", "text": {"type": "plain_text", "text": "I"}, "action_id": "cover_duty", "value": value}
    block = {"type": "actions", "block_id": "row", "elements": [element]}
    message = stage.sandbox.state.post_as_bot(stage.workspace.channel("general").id, "drawn", blocks=[block])
    await clicked(stage, "engineering-lead", message)
    await stage.wait(lambda: [one for one in stage.messages("general", user="engineering-lead") if "othing was" in said(one)
                              or "nothing was" in said(one)], "a refusal")  # fmt: skip
    assert await covers(stage) == []


async def test_one_takes_over_by_their_own_word(begin: Begin) -> None:
    """ "cover for @developer": the one who is covered for is told."""
    stage = await begin(FOREVER)
    text = await told(stage, "cto", "/oncall cover for @developer for 2h")
    assert "<@U0CTO> covers *Primary on-call* for <@U0DEVELOPER> until" in text
    assert "Europe/Berlin" in text
    await stage.sees("incidents", "<@U0CTO> covers")
    told_them = (await stage.wait(lambda: stage.workspace.dm("developer"), "the word"))[-1]
    assert "<@U0CTO> covers" in said(told_them)
    assert await covers(stage) == [("primary", "U0CTO")]


@pytest.mark.parametrize("typed", ["@cto covers for me until tomorrow 09:00", "cover @cto for me for 3h in primary"])
async def test_one_is_named_who_takes_over(begin: Begin, typed: str) -> None:
    """They are told as well."""
    stage = await begin(FOREVER)
    assert "<@U0CTO> covers *Primary on-call*" in await told(stage, "developer", f"/oncall {typed}")
    told_them = (await stage.wait(lambda: stage.workspace.dm("cto"), "the word"))[-1]
    assert "for <@U0DEVELOPER>" in said(told_them)
    assert await covers(stage) == [("primary", "U0CTO")]


async def test_whoever_covers_may_be_covered_for(begin: Begin) -> None:
    """Until their own cover ends, not longer."""
    stage = await begin(FOREVER)
    await told(stage, "cto", "/oncall cover for @developer for 2h")
    await told(stage, "engineering-lead", "/oncall cover for @cto for 5h")
    found = await stage.muster.store.covers()
    assert [cover.user_id for cover in found] == ["U0CTO", "U0LEAD"]
    assert found[0].until_at == found[1].until_at


async def test_a_cover_holds_for_the_turns_of_one_person(begin: Begin) -> None:
    """Whoever's turn comes in between has it themselves."""
    stage = await begin(PRIMARY)
    on_duty = (
        "developer"
        if "Alpha engineer (<@U0DEVELOPER>) until" in await told(stage, "cto", "/oncall primary")
        else "engineering-lead"
    )
    await told(stage, "cto", f"/oncall cover for @{on_duty} for 4 days")
    found = await stage.muster.store.covers()
    assert len(found) in (2, 3)
    assert all(cover.user_id == "U0CTO" for cover in found)
    gaps = [later.from_at - earlier.until_at for earlier, later in itertools.pairwise(found)]
    assert {gap.total_seconds() for gap in gaps} == {24 * HOUR_S}


@pytest.mark.parametrize(
    ("user", "typed", "answer"),
    [
        ("cto", "cover for me until 18:00", "You are not on duty in any rotation now"),
        ("developer", "cover for @cto for 2h", "<@U0CTO> is not on duty in any rotation now"),
        ("developer", "cover for @developer for 2h", "Nobody can cover for themselves"),
        ("developer", "@developer covers for me for 2h", "Nobody can cover for themselves"),
        ("developer", "@guest covers for me for 2h", "<@U0GUEST> is a guest here, so nothing was changed"),
        ("developer", "@muster covers for me for 2h", "That is Muster itself"),
        ("developer", "@left covers for me for 2h", "is deactivated in Slack, so nothing was changed"),
        ("developer", "@robot covers for me for 2h", "is a bot, so nothing was changed"),
        ("developer", "cover for me until 2020-01-01 09:00", "That time is over already"),
        ("developer", "cover for me for 15 days", "That is more than 14 days"),
        ("developer", "cover for me until six", "cannot read that time"),
        ("developer", "cover for me for 2h in tertiary", "There is no rotation “tertiary”"),
        ("developer", "cover for me for 2h in secondry", "Did you mean “secondary”?"),
        ("developer", "cover for me for 2h in <!channel>", "There is no rotation"),
        ("developer", "cover end", "You cover for nobody, and as far as Muster knows nobody covers for you"),
    ],
)
async def test_a_swap_that_cannot_be_is_refused(begin: Begin, user: str, typed: str, answer: str) -> None:
    """With the reason, and nothing is written."""
    begin.stage.workspace.add_user("left", "Left")
    begin.stage.sandbox.state.users[begin.stage.workspace.user("left").id].deleted = True
    begin.stage.workspace.add_user("robot", "Robot")
    begin.stage.sandbox.state.users[begin.stage.workspace.user("robot").id].is_bot = True
    stage = await begin(FOREVER, {**FOREVER, "id": "secondary", "members": ["beta"]})
    text = await told(stage, user, f"/oncall {typed}")
    assert answer in text
    assert "<!channel>" not in text
    assert await covers(stage) == []


async def test_on_several_duties_the_rotation_is_asked_for(begin: Begin) -> None:
    """And named, it is the one that changes."""
    stage = await begin(FOREVER, {**FOREVER, "id": "secondary", "name": "Secondary on-call"})
    text = await told(stage, "developer", "/oncall cover for me for 2h")
    assert "end the command with `in primary` or `in secondary`" in text
    await told(stage, "developer", "/oncall @cto covers for me for 2h in Secondary on-call")
    assert await covers(stage) == [("secondary", "U0CTO")]


@pytest.mark.parametrize("user", ["developer", "cto"])
async def test_a_cover_is_ended_early(begin: Begin, user: str) -> None:
    """By who covers or who is covered for; the next page goes to whose turn it is, and it is announced."""
    stage = await begin(FOREVER)
    await told(stage, "cto", "/oncall cover for @developer for 2h")
    assert "nobody covers for you" in await told(stage, "oncall", "/oncall cover end")
    text = await told(stage, user, "/oncall cover end")
    assert "<@U0CTO> does not cover *Primary on-call* any more: <@U0DEVELOPER> is on duty again." in text
    await stage.sees("incidents", "does not cover")
    line = await told(stage, "cto", "/oncall primary")
    assert "covers" not in line
    assert "Alpha engineer (<@U0DEVELOPER>)" in line
    assert "nobody covers for you" in await told(stage, user, "/oncall cover end")
    await page_of(stage, "developer")  # the word that somebody covers
    before = len(stage.workspace.dm("developer"))
    await stage.workspace.command("support-agent", "support", "/incident clerk down")
    assert "you are on call" in said(await page_of(stage, "developer", before + 1))
    assert stage.workspace.dm("cto") == []


@pytest.mark.parametrize("user", ["engineering-lead", "developer"])
async def test_a_cover_of_a_cover_is_ended(begin: Begin, user: str) -> None:
    """By who covers: whom they covered for has it again. By whose turn it is: they have it themselves."""
    stage = await begin(FOREVER)
    await told(stage, "cto", "/oncall cover for @developer for 5h")
    await told(stage, "engineering-lead", "/oncall cover for @cto for 2h")
    text = await told(stage, user, "/oncall cover end")
    again, left = ("U0CTO", [("primary", "U0CTO")]) if user == "engineering-lead" else ("U0DEVELOPER", [])
    assert f"<@U0LEAD> does not cover *Primary on-call* any more: <@{again}> is on duty again." in text
    assert await covers(stage) == left


async def test_a_cover_of_many_turns_is_ended_at_once(begin: Begin) -> None:
    """All of them; the other rotation's stays."""
    stage = await begin({**PRIMARY, "members": ["alpha", "beta"]}, {**FOREVER, "id": "secondary", "members": ["beta"]})
    text = await told(stage, "cto", "/oncall primary")
    on_duty = "developer" if "Alpha engineer (<@U0DEVELOPER>) until" in text else "engineering-lead"
    await told(stage, "cto", f"/oncall cover for @{on_duty} for 6 days in primary")
    await told(stage, "cto", "/oncall cover for @engineering-lead for 2h in secondary")
    assert len(await covers(stage)) in (4, 5)
    assert "again" in await told(stage, "cto", "/oncall cover end in primary")
    assert await covers(stage) == [("secondary", "U0CTO")]


async def test_a_cover_for_a_group_is_ended(begin: Begin) -> None:
    """Of several people nobody is named: the contact has it again."""
    group = {"id": "everybody", "name": "Executives", "slack": "@executives"}
    stage = await begin({**FOREVER, "members": ["everybody"]}, contacts=[group])
    now = datetime.now(UTC)
    span = {"from_at": now - timedelta(hours=1), "until_at": now + timedelta(hours=1)}
    cover = Cover(rotation="primary", user_id="U0DEVELOPER", by="U0DEVELOPER", **span)
    await stage.muster.store.add_covers([cover])
    text = await told(stage, "developer", "/oncall cover end")
    assert "<@U0DEVELOPER> does not cover *Primary on-call* any more: " in text
    assert text.rstrip().endswith("is on duty again.")
    assert await covers(stage) == []


@pytest.mark.parametrize("how", ["frozen", "killed"])
async def test_without_redis_the_files_say_who_is_on_duty(own_redis: RedisProcess, tmp_path: Path, how: str) -> None:
    """In time, with a word about the covers; a swap is not promised and not announced."""
    async with staged(own_redis.url, ack_timeout_s=3.0) as stage:
        await Begin(stage, tmp_path)(FOREVER)
        if how == "frozen":
            own_redis.signal(signal.SIGSTOP)
        else:
            own_redis.stop()
        for typed in ("", "primary"):
            text = await told(stage, "developer", f"/oncall {typed}".strip())
            assert "Who covers for whom cannot be read" in text
            assert "Alpha engineer (<@U0DEVELOPER>)" in text
        text = await told(stage, "cto", "/oncall cover for @developer for 2h")
        assert "Muster could not save this" in text
        assert not [call for call in stage.called("chat.postMessage") if "covers" in str(call.arguments)]
        if how == "frozen":
            own_redis.signal(signal.SIGCONT)
        else:
            own_redis.start()
        await stage.sandbox.courier.stop()
        await stage.stop()


async def test_what_is_said_is_in_the_zone_of_who_says_it(begin: Begin) -> None:
    """As it is set in Slack; the answer names the zone."""
    begin.stage.workspace.user("cto").tz = "Asia/Kolkata"
    stage = await begin(FOREVER)
    assert "Asia/Kolkata" in await told(stage, "cto", "/oncall cover for @developer until 18:00")
    (cover,) = await stage.muster.store.covers()
    assert f"{cover.until_at.astimezone(ZoneInfo('Asia/Kolkata')):%H:%M}" == "18:00"


@pytest.mark.parametrize("fault", ["500", "slow"])
async def test_without_a_zone_in_slack_that_of_the_rotation_counts(begin: Begin, fault: FaultKind) -> None:
    """It is said as well; nobody waits for Slack."""
    stage = await begin({**FOREVER, "timezone": "America/New_York"})
    stage.sandbox.faults.add("users.info", fault, seconds=2)
    assert "America/New_York" in await told(stage, "cto", "/oncall cover for @developer until 18:00")
    (cover,) = await stage.muster.store.covers()
    assert f"{cover.until_at.astimezone(ZoneInfo('America/New_York')):%H:%M}" == "18:00"
