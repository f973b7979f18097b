"""The forms: made of what is known, read back as what was typed, and what is wrong with them said beside the input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field

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


def test_a_form_has_an_input_for_each_missing_parameter(contracts: Path) -> None:
    """What the runbook gives, and what has a default, is not asked for."""
    assert list(views.missing_fields(Params, {})) == ["user_id", "reason"]
    assert list(views.missing_fields(Params, {"reason": "because"})) == ["user_id"]
    view = views.run_view("inc-1/revoke", "Revoke sessions", Params, {}, "Everybody is <signed> out")
    assert faults_of_view(view) == []
    blocks = blocks_of(view)
    assert list(blocks) == ["param:user_id", "param:reason"]
    assert blocks["param:user_id"]["label"]["text"] == "User id"
    assert blocks["param:user_id"]["hint"]["text"] == "Clerk's id"
    assert blocks["param:user_id"]["element"]["placeholder"]["text"] == "user_2abc"
    assert blocks["param:reason"]["label"]["text"] == "Why"
    assert "&lt;signed&gt;" in view["blocks"][0]["text"]["text"]


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
    read = views.read_params(view, Params, {"reason": "the runbook's"})
    assert (read["reason"], read["url"]) == ("the runbook's", "https://example.com")


def test_each_form_has_somebody_who_takes_it() -> None:
    """The callback_ids of the views are those of the table."""
    made = {views.skip_view("inc-1/a", "A")["callback_id"], views.run_view("inc-1/a", "A", Params, {}, None)["callback_id"]}
    assert made == {ids.VIEW_SKIP, ids.VIEW_RUN}


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
