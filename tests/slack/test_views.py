"""The forms: made of what is known, read back as what was typed, and what is wrong with them said beside the input."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, model_validator

from bot.actions.registry import load_actions
from bot.domain.catalog import Catalog
from bot.domain.commands import Escalate
from bot.domain.errors import UserError
from bot.domain.runbook import Runbook
from bot.domain.severity import Severity
from bot.slack.blocks import ids, views
from bot.slack.blocks.views import FieldErrors, View
from bot.slack.listeners.escalating import offers
from tests.contracts.payloads import faults_of_view
from tests.domain.story import Story
from tests.slack.conftest import HOSTILE, with_runbook


class Params(BaseModel):
    """What a made-up action needs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    user_id: str = Field(
        pattern=r"^user_\w+$", max_length=60, description="Clerk's id", json_schema_extra={"placeholder": "user_2abc"}
    )
    reason: str = Field(title="Why", max_length=20)
    count: int = 1
    url: str = "https://example.com"


def declare(catalog: Catalog, **fields: str) -> View:
    return views.declare_view(
        runbooks=list(catalog.runbooks.values()),
        services=list(catalog.services.values()),
        severities={severity: policy.title for severity, policy in catalog.severities.items()},
        **fields,
    )


def sent(**values: dict[str, Any]) -> dict[str, Any]:
    """A form as Slack sends it: one value for each block."""
    return {"state": {"values": {block: {"value": value} for block, value in values.items()}}}


def blocks_of(view: View) -> dict[str, Any]:
    return {block["block_id"]: block for block in view["blocks"] if "block_id" in block}


# -- declaring -----------------------------------------------------------------------------------------------------


def test_the_form_offers_what_the_files_know(catalog: Catalog, contracts: Path) -> None:
    """Runbooks, severities and services by their titles; only the title is required."""
    view = declare(catalog, title="checkout is slow", channel_id="C1", message_ts="1.2")
    assert faults_of_view(view) == []
    blocks = blocks_of(view)
    assert list(blocks) == ["title", "runbook", "severity", "service", "private"]
    assert [blocks[name]["optional"] for name in blocks] == [False, True, True, True, True]
    assert [option["value"] for option in blocks["runbook"]["element"]["options"]] == list(catalog.runbooks)
    assert [option["value"] for option in blocks["severity"]["element"]["options"]] == ["SEV1", "SEV2", "SEV3", "SEV4"]
    assert blocks["title"]["element"]["initial_value"] == "checkout is slow"
    assert json.loads(view["private_metadata"]) == {"channel": "C1", "ts": "1.2"}


def test_the_form_works_without_runbooks_and_services(contracts: Path) -> None:
    """A fresh installation: a menu without entries would be refused."""
    view = views.declare_view(runbooks=[], services=[], severities={Severity.SEV1: "Critical"})
    assert faults_of_view(view) == []
    assert list(blocks_of(view)) == ["title", "severity", "private"]


@pytest.mark.parametrize("title", ["x" * 10_000, HOSTILE, "👩‍👩‍👧‍👦" * 60])
def test_any_message_can_be_taken_over(catalog: Catalog, contracts: Path, title: str) -> None:
    """It is cut to what the input may hold."""
    view = declare(catalog, title=title)
    assert faults_of_view(view) == []
    element = blocks_of(view)["title"]["element"]
    assert len(element["initial_value"]) <= element["max_length"]


def test_hundreds_of_runbooks_fit(catalog: Catalog, contracts: Path) -> None:
    """A menu has 100 entries at the most, each with a text of 75 characters."""
    many = [
        Runbook.model_validate(
            {"id": f"r{n}", "title": "t" * 150, "service": "clerk", "severity": "SEV3", "checklist": [{"id": "a", "title": "A"}]}
        )
        for n in range(300)
    ]
    view = views.declare_view(runbooks=many, services=[], severities=dict.fromkeys(catalog.severities, "x"))
    assert faults_of_view(view) == []
    assert len(blocks_of(view)["runbook"]["element"]["options"]) == 100


# -- skipping, running, saying -------------------------------------------------------------------------------------


def test_the_reason_of_a_skip_is_asked_for(contracts: Path) -> None:
    """About which step, as text; the ids travel in the metadata."""
    view = views.skip_view("inc-1/logs", HOSTILE)
    assert faults_of_view(view) == []
    assert views.metadata_of(view) == {"target": "inc-1/logs"}
    assert "&lt;!channel&gt;" in view["blocks"][0]["text"]["text"]


def test_a_form_has_an_input_for_each_parameter_that_is_not_given(contracts: Path) -> None:
    """What the action cannot do without stands first; what has a default is offered behind it."""
    assert list(views.missing_fields(Params, {})) == ["user_id", "reason", "count", "url"]
    assert list(views.missing_fields(Params, {"reason": "because", "url": "x"})) == ["user_id", "count"]
    view = views.run_view("inc-1/revoke", "Revoke sessions", Params, {}, "Everybody is <signed> out")
    assert faults_of_view(view) == []
    blocks = blocks_of(view)
    assert [(name, blocks[name]["optional"]) for name in blocks] == [
        ("param:user_id", False),
        ("param:reason", False),
        ("param:count", True),
        ("param:url", True),
    ]
    assert blocks["param:user_id"]["label"]["text"] == "User id"
    assert blocks["param:user_id"]["hint"]["text"] == "Clerk's id"
    assert blocks["param:user_id"]["element"]["placeholder"]["text"] == "user_2abc"
    assert blocks["param:reason"]["label"]["text"] == "Why"
    assert blocks["param:count"]["element"]["initial_value"] == "1"
    assert blocks["param:url"]["element"]["initial_value"] == "https://example.com"
    assert "&lt;signed&gt;" in view["blocks"][0]["text"]["text"]


class Mode(StrEnum):
    SOFT = "soft"
    HARD = "hard"


class Everything(BaseModel):
    """One parameter of each kind."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    user_ids: tuple[str, ...] = Field(min_length=1)
    minutes: int = Field(default=60, ge=5, le=240)
    share: float = Field(default=0.5, gt=0, lt=1)
    force: bool = False
    careful: bool = True
    mode: Mode = Mode.SOFT
    size: Literal["small", "large"] | None = None
    note: str | None = None
    below: int = Field(default=1, gt=0, lt=10)


def test_each_kind_of_parameter_has_its_input(contracts: Path) -> None:
    """Numbers with their bounds, boxes, menus, lists; the default stands in each."""
    view = views.run_view("inc-1/a", "Everything", Everything, {}, None)
    assert faults_of_view(view) == []
    elements = {name.removeprefix("param:"): block["element"] for name, block in blocks_of(view).items()}
    assert elements["user_ids"]["multiline"]
    assert [elements["minutes"][name] for name in ("type", "min_value", "max_value", "initial_value", "is_decimal_allowed")] == [
        "number_input",
        "5",
        "240",
        "60",
        False,
    ]
    assert elements["share"]["is_decimal_allowed"]
    assert (elements["below"]["min_value"], elements["below"]["max_value"]) == ("1", "9")
    assert elements["force"]["type"] == "checkboxes"
    assert "initial_options" not in elements["force"]
    assert elements["careful"]["initial_options"] == elements["careful"]["options"]
    assert elements["mode"]["initial_option"]["value"] == "soft"
    assert [one["value"] for one in elements["mode"]["options"]] == ["soft", "hard"]
    assert [one["value"] for one in elements["size"]["options"]] == ["small", "large"]
    assert "initial_option" not in elements["size"]
    assert elements["note"]["type"] == "plain_text_input"


def test_what_is_filled_in_is_read_by_its_kind() -> None:
    """A list by lines and commas; what is left empty keeps its default; a box that is not ticked is no."""
    typed = {
        "param:user_ids": {"value": " user_1, user_2\nuser_3\n\n"},
        "param:minutes": {"value": "30"},
        "param:share": {"value": None},
        "param:force": {"selected_options": [{"value": "yes"}]},
        "param:careful": {"selected_options": []},
        "param:mode": {"selected_option": {"value": "hard"}},
        "param:size": {"selected_option": None},
        "param:note": {"value": "  "},
    }
    assert views.read_params(sent(**typed), Everything, {}) == {
        "user_ids": ["user_1", "user_2", "user_3"],
        "minutes": 30,
        "share": 0.5,
        "force": True,
        "careful": False,
        "mode": "hard",
        "size": None,
        "note": None,
        "below": 1,
    }


def test_an_empty_list_is_no_list() -> None:
    """An action without a scope would be one on everybody."""
    with pytest.raises(FieldErrors) as wrong:
        views.read_params(sent(**{"param:user_ids": {"value": " ,\n, "}}), Everything, {})
    assert set(wrong.value.problems) == {"param:user_ids"}


def test_the_accounts_of_the_incident_stand_in_the_form(contracts: Path) -> None:
    """One a line, to be changed by whoever asks."""
    view = views.run_view("inc-1/a", "Everything", Everything, {}, None, ("user_1", "user_2"))
    assert faults_of_view(view) == []
    assert blocks_of(view)["param:user_ids"]["element"]["initial_value"] == "user_1\nuser_2"


def test_a_long_text_has_room_for_its_lines(contracts: Path) -> None:
    """As much as the parameter takes, and no more than Slack does; a short one stays a line."""

    class Texts(BaseModel):
        short: str = Field(max_length=120)
        long: str = Field(max_length=2_000)
        endless: str = Field(max_length=20_000)

    view = views.run_view("inc-1/a", "Texts", Texts, {}, None)
    assert faults_of_view(view) == []
    elements = [blocks_of(view)[f"param:{name}"]["element"] for name in Texts.model_fields]
    assert [(one["multiline"], one["max_length"]) for one in elements] == [(False, 500), (True, 2_000), (True, 3_000)]


def test_more_accounts_than_an_input_holds_are_taken_when_it_is_left_empty(contracts: Path) -> None:
    """How many is said; nothing is cut off in silence."""
    accounts = tuple(f"user_{number:027}" for number in range(500))
    view = views.run_view("inc-1/a", "Everything", Everything, {}, None, accounts)
    assert faults_of_view(view) == []
    block = blocks_of(view)["param:user_ids"]
    assert block["optional"]
    assert "all 500 accounts" in block["hint"]["text"]
    assert "initial_value" not in block["element"]
    assert views.read_params(sent(), Everything, {}, accounts)["user_ids"] == list(accounts)
    assert views.read_params(sent(**{"param:user_ids": {"value": "user_9"}}), Everything, {}, accounts)["user_ids"] == ["user_9"]


class Together(BaseModel):
    """Two that must fit each other."""

    first: int = 1
    second: int = 2

    @model_validator(mode="after")
    def _fit(self) -> Together:
        if self.first > self.second:
            raise ValueError("the first is not above the second")
        return self


def test_what_is_wrong_with_all_of_it_is_said_beside_an_input_that_is_there() -> None:
    """Slack refuses an error that names no input."""
    with pytest.raises(FieldErrors) as wrong:
        views.read_params(sent(**{"param:second": {"value": "0"}}), Together, {"first": 1})
    assert wrong.value.problems == {"param:second": "the first is not above the second."}


def test_going_on_alone_asks_why(contracts: Path) -> None:
    """With what it is about; the ids travel in the metadata."""
    view = views.break_glass_view("inc-1/r1", HOSTILE, HOSTILE, "abcd1234")
    assert faults_of_view(view) == []
    assert views.metadata_of(view) == {"target": "inc-1/r1"}
    assert "abcd1234" in str(view["blocks"])
    assert "&lt;!channel&gt;" in view["blocks"][0]["text"]["text"]
    assert not blocks_of(view)["reason"]["optional"]


def test_every_action_has_a_form_that_slack_takes(contracts: Path) -> None:
    """Whatever it needs."""
    for spec in load_actions().values():
        assert faults_of_view(views.run_view("inc-1/step", spec.title, spec.params, {}, None)) == [], spec.name


def test_a_notice_can_only_be_closed(contracts: Path) -> None:
    """It has nothing to send."""
    view = views.notice_view("A title that is longer than 24 characters", "x" * 5_000)
    assert faults_of_view(view) == []
    assert "submit" not in view
    assert "callback_id" not in view


# -- reading them back ---------------------------------------------------------------------------------------------


def test_what_was_typed_picked_and_ticked_is_read_back() -> None:
    """Nothing is the empty text."""
    view = sent(
        title={"type": "plain_text_input", "value": "checkout"},
        runbook={"type": "static_select", "selected_option": {"value": "clerk-auth-outage"}},
        severity={"type": "static_select", "selected_option": None},
        private={"type": "checkboxes", "selected_options": [{"value": "private"}]},
    )
    assert views.text_of(view, "title") == "checkout"
    assert views.text_of(view, "runbook") == "clerk-auth-outage"
    assert views.text_of(view, "severity") == ""
    assert views.text_of(view, "service") == ""
    assert views.checked(view, "private")
    assert not views.checked(sent(private={"selected_options": []}), "private")


@pytest.mark.parametrize("metadata", ["{", "[]", '"x"', "1", '{"target": 1}', '{"target": {"a": "b"}}', "[" * 20_000])
def test_metadata_that_is_not_ours_is_refused(metadata: str) -> None:
    """Whatever somebody made of it."""
    with pytest.raises(UserError, match="not one of Muster's"):
        views.metadata_of({"private_metadata": metadata})


def test_a_view_without_metadata_carries_no_ids() -> None:
    """Nothing is nothing."""
    assert views.metadata_of({"private_metadata": ""}) == {}
    assert views.metadata_of({}) == {}


def test_parameters_are_checked_by_the_model_of_the_action() -> None:
    """Blanks around them go, defaults and what the runbook gives come in."""
    view = sent(**{"param:user_id": {"value": "  user_2demo "}})
    assert views.read_params(view, Params, {"reason": "r", "count": 2}) == {
        "user_id": "user_2demo",
        "reason": "r",
        "count": 2,
        "url": "https://example.com",
    }


@pytest.mark.parametrize(
    "typed",
    ["", "bob", "user_2; rm -rf /", "user_2\nuser_3", "../../v1/users", "user_" + "x" * 100, "--all", "*", "<@U1>", HOSTILE],
)
def test_a_wrong_parameter_is_said_beside_its_input(typed: str) -> None:
    """With an example of a good one, and without repeating what was typed."""
    with pytest.raises(FieldErrors) as wrong:
        views.read_params(sent(**{"param:user_id": {"value": typed}}), Params, {"reason": "r"})
    assert set(wrong.value.problems) == {"param:user_id"}
    said = wrong.value.problems["param:user_id"]
    assert "it looks like user_2abc" in said
    assert len(said) <= 150
    assert not typed or typed not in said


def test_a_form_cannot_change_what_the_runbook_gives() -> None:
    """A value smuggled into the form for a given parameter is ignored."""
    view = sent(
        **{"param:user_id": {"value": "user_1"}, "param:reason": {"value": "mine"}, "param:url": {"value": "http://evil"}}
    )
    read = views.read_params(view, Params, {"reason": "the runbook's", "url": "https://example.com"})
    assert (read["reason"], read["url"]) == ("the runbook's", "https://example.com")


def test_each_form_has_somebody_who_takes_it() -> None:
    """The callback_ids of the views are those of the table."""
    made = [
        views.skip_view("inc-1/a", "A"),
        views.run_view("inc-1/a", "A", Params, {}, None),
        views.break_glass_view("inc-1/r1", "A", "B", "c"),
    ]
    assert {view["callback_id"] for view in made} == {ids.VIEW_SKIP, ids.VIEW_RUN, ids.VIEW_BREAK_GLASS}


def test_the_title_of_an_action_is_cut_to_the_title_of_a_form(catalog: Catalog, contracts: Path) -> None:
    """24 characters."""
    made = with_runbook(catalog, checklist=[{"id": "a", "title": "A" * 150}])
    assert faults_of_view(views.skip_view("inc-1/a", made.runbooks["made-up"].checklist[0].title)) == []
    assert len(views.run_view("inc-1/a", "B" * 80, Params, {}, None)["title"]["text"]) <= 24


# -- escalating ----------------------------------------------------------------------------------------------------


def test_the_form_that_calls_people_offers_the_next_level_first(outage: Story, contracts: Path) -> None:
    """Then every level, then everybody of the plan; nothing is required."""
    view = views.escalate_view("inc-1/escalate", offers(outage.incident))
    assert faults_of_view(view) == []
    blocks = blocks_of(view)
    assert list(blocks) == ["whom", "person", "reason"]
    assert [blocks[name]["optional"] for name in blocks] == [True, True, True]
    values = [option["value"] for option in blocks["whom"]["element"]["options"]]
    assert values[:4] == ["next", "level:1", "level:2", "level:3"]
    assert {"contact:on-call", "contact:engineering-lead", "contact:cto"} <= set(values)
    assert json.loads(view["private_metadata"]) == {"target": "inc-1/escalate"}
    assert view["title"]["text"] == "Escalate"


def test_when_every_level_was_reached_there_is_no_next_one(outage: Story, contracts: Path) -> None:
    """The levels can still be called once more."""
    outage.do(Escalate())
    outage.do(Escalate())
    assert list(offers(outage.incident))[:3] == ["level:1", "level:2", "level:3"]


def test_the_form_that_hands_over_says_so(outage: Story, contracts: Path) -> None:
    """The same choices under another title."""
    view = views.escalate_view("inc-1/hand_over", offers(outage.incident), handing_over=True)
    assert faults_of_view(view) == []
    assert (view["title"]["text"], view["submit"]["text"]) == ("Hand over", "Hand over")
    assert "can take it over from you" in view["blocks"][0]["text"]["text"]


@pytest.mark.parametrize("count", [0, 1, 100, 300])
def test_the_form_that_calls_people_fits_whoever_there_is(contracts: Path, count: int) -> None:
    """A menu holds a hundred entries of 75 characters; without any there is no menu."""
    view = views.escalate_view("inc-1/escalate", {f"contact:c-{n}": f"{n} {HOSTILE * 3}" for n in range(count)})
    assert faults_of_view(view) == []
    assert ("whom" in blocks_of(view)) is bool(count)


def test_whom_somebody_picked_is_read_back() -> None:
    """An entry of the menu, a person, or neither."""
    picked = {"whom": {"selected_option": {"value": "level:2"}}, "person": {"selected_user": "U1"}}
    assert (views.text_of(sent(**picked), "whom"), views.text_of(sent(**picked), "person")) == ("level:2", "U1")
    nothing = {"whom": {"selected_option": None}, "person": {"selected_user": None}}
    assert (views.text_of(sent(**nothing), "whom"), views.text_of(sent(**nothing), "person")) == ("", "")
