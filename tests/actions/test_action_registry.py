"""The table of actions and what an action must declare."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydantic import Field

from bot.actions.registry import load_actions, table_of
from bot.actions.spec import ActionContext, ActionParams, ActionSpec, NoParams
from bot.domain.errors import ConfigError
from bot.domain.outcome import Outcome, Risk, State


async def _nothing(_params: NoParams, _context: ActionContext) -> Outcome:
    return Outcome(state=State.OK, summary="Nothing")


def test_the_actions_of_this_version() -> None:
    """Their names are used in runbooks, and do not change by accident."""
    actions = load_actions()
    assert {name: spec.risk.value for name, spec in actions.items()} == {
        "clerk.status": "read",
        "clerk.jwks": "read",
        "clerk.keys": "read",
        "clerk.latency": "read",
        "clerk.webhook_probe": "read",
        "clerk.verify_rotation": "read",
        "clerk.find_user": "read",
        "clerk.list_sessions": "read",
        "clerk.suspicious_sessions": "read",
        "clerk.revoke_sessions": "change",
        "clerk.ban_user": "destructive",
        "clerk.unban_user": "change",
        "clerk.require_password_reset": "destructive",
        "clerk.withdraw_password_reset": "change",
        "clerk.restrict_sign_up": "destructive",
        "clerk.restore_sign_up": "change",
        "clerk.block_identifier": "change",
        "clerk.unblock_identifier": "change",
        "clerk.revoke_everywhere": "destructive",
        "email.notify_users": "destructive",
        "http.health": "read",
        "logs.preserve": "read",
        "statuspage.update": "destructive",
        "vercel.env": "read",
        "vercel.deployments": "read",
        "vercel.logs": "read",
        "vercel.rollback": "destructive",
        "vercel.promote": "destructive",
        "vercel.redeploy": "destructive",
        "clerk.emergency_bypass": "destructive",
        "clerk.emergency_bypass_off": "change",
        "bypass.ready": "read",
        "application.pause_webhooks": "change",
        "application.resume_webhooks": "change",
        "application.check_users": "read",
        "application.resync_users": "destructive",
        "application.export_table": "change",
    }


def test_what_changes_something_has_a_preview() -> None:
    """Everything but `read` can say what it would do."""
    assert all(spec.preview is not None for spec in load_actions().values() if spec.risk is not Risk.READ)


def test_forms_can_be_built_from_the_parameters() -> None:
    """Each parameter has a title, a description and, where it is typed in, an example."""
    for spec in load_actions().values():
        assert spec.params.model_config["frozen"] is True
        assert spec.params.model_config["extra"] == "forbid"
        for name, declared in spec.params.model_json_schema().get("properties", {}).items():
            assert declared["title"], f"{spec.name}.{name}"
            assert declared["description"].endswith("."), f"{spec.name}.{name}"
    revoke = load_actions()["clerk.revoke_sessions"].params.model_json_schema()["properties"]["user_id"]
    assert revoke["placeholder"] == "user_…"
    assert revoke["pattern"].startswith("^user_")


def test_the_settings_that_an_action_needs() -> None:
    """The doctor and the linter learn from the table which variables a step needs."""
    actions = load_actions()
    assert actions["clerk.revoke_sessions"].settings == ("CLERK_SECRET_KEY",)
    assert actions["vercel.env"].settings == ("VERCEL_TOKEN", "VERCEL_PROJECT")
    assert actions["clerk.status"].settings == ()


def test_a_name_that_comes_twice() -> None:
    """Duplicate registration is an error at start-up."""
    spec = ActionSpec(name="a.b", title="A", risk=Risk.READ, params=NoParams, run=_nothing)
    with pytest.raises(ConfigError, match=r"a\.b is registered twice"):
        table_of([spec, replace(spec, title="B")])


def test_declarations_that_are_wrong() -> None:
    """A bad name, a change without a preview, a parameter without a description."""

    class Bare(ActionParams):
        a: str
        b: str = Field(description="Known.")

    good = ActionSpec(name="a.b", title="A", risk=Risk.READ, params=NoParams, run=_nothing)
    with pytest.raises(ConfigError, match="a name is"):
        replace(good, name="Nope")
    with pytest.raises(ConfigError, match="needs a preview"):
        replace(good, risk=Risk.DESTRUCTIVE)
    with pytest.raises(ConfigError, match="without a description: a"):
        replace(good, params=Bare)


def test_the_table_is_read_only() -> None:
    """Nobody adds an action at run time."""
    with pytest.raises(TypeError):
        load_actions()["x.y"] = None  # type: ignore[index]
