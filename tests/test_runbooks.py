"""The runbooks that Muster ships: faultless, complete against the procedures they come from, and right where those err."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from pydantic import BaseModel

from bot.actions.registry import load_actions
from bot.domain.catalog import Catalog, best_runbooks
from bot.domain.duty import on_duty
from bot.domain.escalation import (
    BusinessHours,
    Condition,
    Contact,
    DutyOverride,
    EscalationPolicy,
    ExternalContact,
    Level,
    PagerDutyOnCall,
    Rotation,
    RunbookEscalation,
    Team,
    Trigger,
    Way,
    resolve_policy,
)
from bot.domain.outcome import Risk, State
from bot.domain.runbook import Runbook, Step, Watching
from bot.domain.severity import Severity, SeverityPolicy
from bot.storage.runbook_files import LoadResult, load_catalog

FOLDER = Path(__file__).parent.parent / "runbooks"
CONTACTS = "contacts.yml"
PACK = ["clerk-auth-outage", "clerk-performance-degradation", "clerk-security-incident", "clerk-webhook-failure"]
WATCHED = {
    "clerk-auth-outage/monitor": (60, 3),
    "clerk-performance-degradation/monitor": (60, 3),
    "clerk-performance-degradation/watch": (60, 3),
    "clerk-webhook-failure/monitor": (60, 5),
}
APP_URL = {"CLERK_APP_URL": "http://127.0.0.1:9/app"}


def load(overrides: dict[str, str]) -> LoadResult:
    """The shipped folder with the actions that there are."""
    return load_catalog(FOLDER, actions=load_actions(), overrides=overrides)


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    """The shipped catalog, with the application's address set."""
    loaded = load(APP_URL).catalog
    assert loaded is not None
    return loaded


@pytest.fixture
def outage(catalog: Catalog) -> Runbook:
    """The runbook of a complete outage."""
    return catalog.runbooks["clerk-auth-outage"]


@pytest.fixture
def security(catalog: Catalog) -> Runbook:
    """The runbook of a breach."""
    return catalog.runbooks["clerk-security-incident"]


def test_the_shipped_files_have_no_fault() -> None:
    """Out of the box warnings on services only: nobody can know the application's address. That the four runbooks share the two
    phrases of the pack is meant; what contacts.yml leaves open is tested below."""
    shared = [("info", f"clerk/{name}.yml") for name in ("performance-degradation", "security-incident", "webhook-failure")]
    shared = [fault for fault in shared for _ in range(2)]
    loaded = [fault for fault in load(APP_URL).faults if not fault.path.endswith(CONTACTS)]
    assert [(fault.level, str(Path(fault.path).relative_to(FOLDER))) for fault in loaded] == shared
    untouched = load({})
    assert untouched.catalog is not None
    left = [fault for fault in untouched.faults if fault.level != "info" and not fault.path.endswith(CONTACTS)]
    assert {fault.level for fault in left} == {"warning"}
    assert {fault.remedy for fault in left} == {
        "set it where Muster runs",
        "write it here, or set MUSTER_VAR_CLERK_APP_URL",
    }


def test_what_nobody_but_the_user_can_know_is_a_warning() -> None:
    """Numbers and names that the procedures leave open are not invented: each is said, and nothing else."""
    told = [fault.message for fault in load(APP_URL).faults if fault.path.endswith(CONTACTS)]
    assert {fault.level for fault in load(APP_URL).faults if fault.path.endswith(CONTACTS)} == {"warning"}
    by_role = ("senior-backend", "backend", "security", "performance", "integration", "infrastructure")
    assert told == [
        *(f"nobody can reach the contact “{role}-engineer”" for role in by_role),
        *(f"nobody is in the team “{team}”" for team in ("engineering", "executives")),
        "nobody can reach the external contact “authos-hotline”",
        *(f"“{who}” has no phone, and will be reached in Slack instead" for who in ("on-call", "engineering-lead", "cto")),
        *(f"“{who}” has no phone, and will be reached in Slack instead" for who in ("communications", "vp-engineering")),
        *["nobody in this level can be reached, so nobody would be woken"] * 3,
        *["nobody whom this condition names can be reached, so nobody would be woken"] * 2,
        *["nobody in this level can be reached, so nobody would be woken"] * 2,
    ]


def test_the_outage_procedure_is_whole_and_in_order(outage: Runbook) -> None:
    """Every line of "Auth Outage Response", 4a to 4c and 5a to 5c included."""
    assert [(ref.branch[1] if ref.branch else "", ref.step.title) for ref in outage.walk()] == [
        ("", "Confirm outage"),
        ("", "Check application logs for errors"),
        ("", "Verify environment variables"),
        ("", "Clerk outage, or application issue?"),
        ("clerk-outage", "Enable emergency bypass (if safe)"),
        ("clerk-outage", "Notify users via status page"),
        ("clerk-outage", "Monitor Clerk status"),
        ("application", "Check recent deployments"),
        ("application", "Rollback if necessary"),
        ("application", "Check middleware configuration"),
        ("", "Document timeline and actions"),
        ("", "Conduct post-mortem"),
    ]


def test_the_immediate_actions_of_an_outage_are_diagnostics(outage: Runbook) -> None:
    """Status page, health endpoint, variables: seen at once, beside the steps that ask for them."""
    assert [(item.id, item.run, item.with_) for item in outage.diagnostics[:3]] == [
        ("status", "clerk.status", {}),
        ("health", "http.health", {"url": "http://127.0.0.1:9/app/api/health/clerk"}),
        ("env", "vercel.env", {"names": ["CLERK_SECRET_KEY", "NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY"]}),
    ]
    assert outage.step("confirm").shows == ("status", "health")
    assert outage.step("variables").shows[0] == "env"
    assert outage.symptoms == ("All users unable to sign in", "Middleware returning errors")
    assert outage.severity is Severity.SEV1


def test_the_evidence_suggests_a_branch(outage: Runbook) -> None:
    """A failing status page speaks for Clerk, first; a failing health endpoint for the application."""
    conditions = [branch.suggested_when for branch in outage.step("cause").choose]
    assert [(found.diagnostic, found.is_) for found in conditions if found] == [
        ("status", State.FAILING),
        ("health", State.FAILING),
    ]


def test_the_bypass_says_what_the_procedure_forgot(outage: Runbook) -> None:
    """It opens every route, works only after a new deployment, must be verified and turned off again."""
    bypass = outage.step("bypass")
    assert bypass.caution is not None
    assert "every route is open to everyone" in bypass.caution
    assert bypass.guide is not None
    for words in ("production only", "needs a redeploy", "seen on", "turned off by itself", "until it is seen off"):
        assert words in bypass.guide


PROCEDURES = {
    "clerk-auth-outage": [
        "Confirm outage",
        "Check application logs for errors",
        "Verify environment variables",
        "Clerk outage, or application issue?",
        "Document timeline and actions",
        "Conduct post-mortem",
    ],
    "clerk-security-incident": [
        "Identify affected accounts",
        "Revoke all sessions for affected users",
        "Lock compromised accounts",
        "Reset API keys if exposed",
        "Enable additional verification",
        "Notify affected users",
        "Review access logs",
        "Document and report",
    ],
    "clerk-webhook-failure": [
        "Identify sync gap (check webhook logs)",
        "Does the endpoint work?",  # ours: a broken endpoint is mended before anything is written
        "Pause webhook processing",
        "Export current database state",
        "Run resync script",
        "Verify data integrity",
        "Resume webhook processing",
        "Monitor for new issues",
        "Document timeline and actions",
    ],
}


@pytest.mark.parametrize("runbook_id", PROCEDURES)
def test_each_procedure_is_whole_and_in_order(catalog: Catalog, runbook_id: str) -> None:
    """The lines of the three procedures, each a step of the first level."""
    assert [step.title for step in catalog.runbooks[runbook_id].checklist] == PROCEDURES[runbook_id]


def test_each_category_has_a_runbook(catalog: Catalog) -> None:
    """Their names and symptoms are those of the pack."""
    found = {
        runbook.title: (runbook.severity.value, ", ".join(runbook.symptoms).casefold())
        for runbook in catalog.runbooks.values()
        if runbook.service == "clerk"
    }
    assert found == {
        "Complete auth outage": ("SEV1", "all users unable to sign in, middleware returning errors"),
        "Webhook processing failure": ("SEV2", "user data out of sync, missing user records"),
        "Security incident": ("SEV1", "unauthorized access detected, suspicious sessions"),
        "Performance degradation": ("SEV2", "slow sign-in, high latency, timeouts"),
    }


def test_a_breach_is_handled_in_private(catalog: Catalog) -> None:
    """It and no other opens a private room by itself, and counts as security."""
    assert [one.id for one in catalog.runbooks.values() if one.private] == ["clerk-security-incident"]
    assert [one.id for one in catalog.runbooks.values() if one.security] == ["clerk-security-incident"]


def test_the_breach_steps_avoid_what_the_procedure_gets_wrong(security: Runbook) -> None:
    """A lock leaves sessions alive, keys change in the Dashboard only, tokens live on for a minute, evidence goes first."""
    guides = {ref.step.id: f"{ref.step.guide} {ref.step.caution}" for ref in security.walk()}
    assert "a lock leaves the sessions alive" in guides["lock"]
    assert "stay valid for about a minute" in guides["revoke"]
    assert "in the Dashboard only" in guides["reset-keys"]
    assert "no switch that asks everybody" in guides["additional-verification"]
    order = [ref.step.id for ref in security.walk()]
    assert order.index("preserve") < order.index("revoke")


def test_the_resync_is_made_safe_before_it_begins(catalog: Catalog) -> None:
    """Paused and exported first, verified before it is resumed, and only then forgotten."""
    order = [step.id for step in catalog.runbooks["clerk-webhook-failure"].checklist]
    assert order.index("pause") < order.index("export") < order.index("resync") < order.index("verify") < order.index("resume")


def test_what_is_to_be_monitored_can_be_watched(catalog: Catalog) -> None:
    """No more often than a status page may be asked."""
    watched = {
        f"{runbook.id}/{ref.step.id}": (ref.step.watch.every, ref.step.watch.good)
        for runbook in catalog.runbooks.values()
        for ref in runbook.walk()
        if ref.step.watch
    }
    assert watched == WATCHED


def is_explained(step: Step) -> bool:
    """Somebody who has never done it knows what to do, or the bot does it."""
    return bool(step.run or step.guide or step.choose or step.steps or step.shows)


def test_no_step_is_a_stub(catalog: Catalog) -> None:
    """What has no action is a guided step; only the review speaks for itself."""
    bare = [
        (runbook.id, ref.step.id) for runbook in catalog.runbooks.values() for ref in runbook.walk() if not is_explained(ref.step)
    ]
    assert bare == [("clerk-auth-outage", "review")]


def test_a_step_is_taken_back_as_its_action_is(catalog: Catalog) -> None:
    """What the runbook says of the way back is what happens."""
    actions = load_actions()
    for runbook in catalog.runbooks.values():
        for step in (ref.step for ref in runbook.walk() if ref.step.undo):
            assert step.run is not None
            assert step.undo == actions[step.run].undo, step.id


def test_diagnostics_only_read(catalog: Catalog) -> None:
    """They run unasked, so they change nothing."""
    actions = load_actions()
    for runbook in catalog.runbooks.values():
        assert {actions[item.run].risk for item in runbook.diagnostics} == {Risk.READ}


@pytest.mark.parametrize(
    ("phrase", "runbook_ids"),
    [
        ("clerk down", ["clerk-auth-outage"]),
        ("clerk outage", ["clerk-auth-outage"]),
        ("auth not working", ["clerk-auth-outage"]),
        ("clerk webhooks failing", ["clerk-webhook-failure"]),
        ("clerk slow", ["clerk-performance-degradation"]),
        ("slow sign-in", ["clerk-performance-degradation"]),
        ("clerk incident", PACK),
        ("clerk emergency", PACK),
    ],
)
def test_the_phrases_call_for_their_runbooks(catalog: Catalog, phrase: str, runbook_ids: list[str]) -> None:
    """The five phrases of the pack and ours, in a message and behind a command; the likeliest is the first."""
    match = catalog.matcher.match(f"{phrase}!!")
    assert match is not None
    assert (match.kind, list(match.runbook_ids)) == ("bare", runbook_ids)
    assert list(best_runbooks(phrase, catalog)) == runbook_ids


def test_the_ladder_is_that_of_the_pack(catalog: Catalog) -> None:
    """0, 15 and 30 minutes, each until somebody acknowledges, for every runbook and for none."""
    for runbook in (None, *catalog.runbooks.values()):
        levels = resolve_policy(catalog, runbook).levels
        assert [(level.level, level.after_s, level.until, level.notify) for level in levels] == [
            (1, 0, "acknowledged", ("on-call",)),
            (2, 900, "acknowledged", ("engineering-lead",)),
            (3, 1800, "acknowledged", ("cto",)),
        ]
        assert all(level.via == (Way.PHONE, Way.SLACK) for level in levels)
        assert resolve_policy(catalog, runbook).conditions == ()
    contacts = [catalog.contacts[name] for name in ("on-call", "engineering-lead", "cto")]
    assert [(contact.name, contact.slack, contact.phone) for contact in contacts] == [
        ("On-call engineer", "@oncall", None),
        ("Engineering lead", "@engineering-lead", None),
        ("CTO", "@cto", None),
    ]
    support = catalog.external_contacts["clerk-support"]
    assert (support.url, support.email) == ("https://clerk.com/support", "support@clerk.com")


def ladder(catalog: Catalog, policy: str) -> list[tuple[int, int, str, tuple[str, ...], tuple[str, ...]]]:
    """The levels of a policy: number, seconds, what stops it, who, how."""
    changes = SimpleNamespace(escalation=RunbookEscalation(inherit=policy))
    levels = resolve_policy(catalog, changes).levels
    return [(level.level, level.after_s, level.until, level.notify, level.via) for level in levels]


def test_the_matrix_of_the_oauth2_server_is_whole(catalog: Catalog) -> None:
    """Its five lines, with the method of each, and the two who are on call."""
    assert ladder(catalog, "oauth2-server") == [
        (1, 0, "acknowledged", ("on-call",), ("pagerduty", "phone", "slack")),
        (2, 900, "acknowledged", ("secondary-on-call",), ("pagerduty",)),
    ]
    conditions = catalog.policies["oauth2-server"].conditions
    assert [(item.when, item.for_s, item.notify, item.via) for item in conditions] == [
        (("no_progress",), 1800, ("secondary-on-call",), ("pagerduty",)),
        (("sev1", "security"), 0, ("engineering-lead",), ("phone",)),
        (("customer_impact",), 3600, ("customer-success",), ("slack",)),
        (("media_attention",), 0, ("communications",), ("phone",)),
        (("open",), 4 * 3600, ("vp-engineering",), ("phone",)),
    ]
    assert [catalog.contacts[name].pagerduty for name in ("on-call", "secondary-on-call")] == [True, True]


ROTATION: list[tuple[int, tuple[str, ...]]] = [(900, ("ops-secondary",)), (1800, ("engineering-manager",))]
"""Who is next where a procedure names nobody."""
AUTHOS: dict[str, list[tuple[int, tuple[str, ...]]]] = {
    "high-error-rate": [(1800, ("senior-backend-engineer",)), (3600, ("engineering-manager",))],
    "database-connection-failures": ROTATION,
    "oauth-system-failure": [(900, ("security-engineer",)), (1800, ("authos-cto",))],
    "high-api-response-times": [(3600, ("performance-engineer",)), (7200, ("infrastructure-team",))],
    "brute-force-attack": ROTATION,
    "webhook-delivery-failures": ROTATION,
    "cache-system-failure": ROTATION,
    "disk-space-critical": ROTATION,
    "failed-queue-jobs": [(1800, ("backend-engineer",))],
    "ssl-certificate-expiry": [(1800, ("infrastructure-engineer",)), (3600, ("security-team",))],
}
IMMEDIATE = {
    "database-connection-failures": "database-administrator",
    "brute-force-attack": "security-team",
    "disk-space-critical": "infrastructure-team",
}


@pytest.mark.parametrize("procedure", AUTHOS)
def test_the_escalation_of_each_authos_procedure_is_whole(catalog: Catalog, procedure: str) -> None:
    """The on-call engineer first, with whoever is to be told immediately; the others until it is resolved, or answered."""
    first, *later = ladder(catalog, f"authos-{procedure}")
    assert first == (1, 0, "acknowledged", ("ops-primary", *([IMMEDIATE[procedure]] if procedure in IMMEDIATE else [])), ())
    assert [(after_s, notify) for _, after_s, _, notify, _ in later] == AUTHOS[procedure]
    unresolved = "acknowledged" if AUTHOS[procedure] is ROTATION else "resolved"
    assert {until for _, _, until, _, _ in later} == {unresolved}


def test_what_is_critical_to_the_business_has_conditions(catalog: Catalog) -> None:
    """A webhook at once, a cache when it stays broken; the owner of the endpoint is outside."""
    found = {
        policy.id: [(item.when, item.for_s, item.notify) for item in policy.conditions]
        for policy in catalog.policies.values()
        if policy.conditions and policy.id.startswith("authos-")
    }
    assert found == {
        "authos-webhook-delivery-failures": [(("business_critical",), 0, ("integration-engineer",))],
        "authos-cache-system-failure": [(("business_critical",), 1800, ("infrastructure-engineer",))],
    }
    assert "webhook-endpoint-owner" in catalog.external_contacts


def test_the_addresses_of_authos_are_those_of_its_document(catalog: Catalog) -> None:
    """They are examples, and looked up in Slack as well; the hotline has no number yet."""
    addresses = {contact.email: contact.slack for contact in catalog.contacts.values() if contact.email}
    names = ("ops-primary", "ops-secondary", "engineering-manager", "dba", "infra", "security", "cto")
    assert addresses == {f"{name}@example.com": f"{name}@example.com" for name in names}
    assert [level[3] for level in ladder(catalog, "authos-on-call")] == [
        ("ops-primary",),
        ("ops-secondary",),
        ("engineering-manager",),
    ]
    assert catalog.external_contacts["authos-hotline"].phone is None


def test_no_number_is_invented() -> None:
    """Not in the models, not in the text."""
    text = (FOLDER / CONTACTS).read_text(encoding="utf-8")
    assert [line for line in text.splitlines() if "phone:" in line and "# phone: set it" not in line] == []


def test_the_severities_say_who_comes_and_who_is_told(catalog: Catalog) -> None:
    """What the responses of the procedures ask for."""
    found = {
        severity.value: (policy.page, policy.via, policy.invite, policy.standby, policy.notify, policy.check_in_after_s)
        for severity, policy in catalog.severities.items()
    }
    assert found == {
        "SEV1": ("at_once", (), ("engineering",), (), ("executives",), 1800),
        "SEV2": ("at_once", (), (), ("secondary-on-call",), (), 3600),
        "SEV3": ("business_hours", (Way.SLACK,), (), (), ("on-call",), None),
        "SEV4": ("never", (), (), (), (), None),
    }


def test_a_fresh_workspace_is_not_told_of_people_who_are_not_there(catalog: Catalog) -> None:
    """Whom a severity invites or tells has no handle of Slack that may not exist, but for the on-call engineer."""
    named = {name for policy in catalog.severities.values() for name in (*policy.invite, *policy.standby, *policy.notify)} - {
        "on-call"
    }
    assert [name for name in named if (catalog.contacts.get(name) or catalog.teams[name]).slack] == []


def test_the_severities_promise_what_they_should(catalog: Catalog) -> None:
    """Time to respond and to resolve, in seconds, and four criteria and answers where there are four."""
    promises = {
        severity.value: (policy.title, policy.respond_within_s, policy.resolve_within_s)
        for severity, policy in catalog.severities.items()
    }
    assert promises == {
        "SEV1": ("Critical", 900, 3600),
        "SEV2": ("High", 1800, 4 * 3600),
        "SEV3": ("Medium", 2 * 3600, 24 * 3600),
        "SEV4": ("Low", 24 * 3600, 7 * 24 * 3600),
    }
    assert [len(policy.criteria) for policy in catalog.severities.values()] == [4, 4, 4, 4]
    assert [len(policy.response) for policy in catalog.severities.values()] == [4, 4, 3, 3]
    assert catalog.severities[Severity.SEV1].response[0] == "Immediate page to on-call"


def test_the_example_of_the_documentation_works(tmp_path: Path) -> None:
    """docs/runbooks.md shows a runbook that `muster check` has nothing to say about."""
    text = (FOLDER.parent / "docs" / "runbooks.md").read_text(encoding="utf-8")
    example = text.split("```yaml\n")[1].split("```")[0]
    shutil.copytree(FOLDER, tmp_path / "runbooks", ignore=shutil.ignore_patterns("clerk"))
    (tmp_path / "runbooks" / "mine").mkdir()
    (tmp_path / "runbooks" / "mine" / "example.yml").write_text(example, encoding="utf-8")
    result = load_catalog(tmp_path / "runbooks", actions=load_actions(), overrides=APP_URL)
    assert [fault for fault in result.faults if fault.level != "info" and not fault.path.endswith(CONTACTS)] == []
    assert result.catalog is not None
    levels = resolve_policy(result.catalog, result.catalog.runbooks["clerk-auth-outage"]).levels
    assert [(level.after_s, level.until) for level in levels] == [
        (0, "acknowledged"),
        (900, "resolved"),
        (1800, "acknowledged"),
    ]


def test_the_contacts_of_the_documentation_work(tmp_path: Path) -> None:
    """The two examples are one contacts.yml that `muster check` has nothing to say about, and what they say comes true."""
    text = (FOLDER.parent / "docs" / "runbooks.md").read_text(encoding="utf-8")
    contacts, policies = (block.split("```")[0] for block in text.split("```yaml\n")[4:6])
    shutil.copytree(FOLDER, tmp_path / "runbooks", ignore=shutil.ignore_patterns("severities.yml"))
    (tmp_path / "runbooks" / CONTACTS).write_text(contacts + policies, encoding="utf-8")
    severities = (FOLDER / "severities.yml").read_text(encoding="utf-8")
    for old, new in (("executives", "leads"), ("secondary-on-call", "beta"), ("on-call]", "primary]")):
        severities = severities.replace(old, new)
    (tmp_path / "runbooks" / "severities.yml").write_text(severities, encoding="utf-8")
    result = load_catalog(tmp_path / "runbooks", actions=load_actions(), overrides=APP_URL, is_set=lambda _: True)
    assert [str(fault) for fault in result.faults if fault.level != "info"] == []
    assert result.catalog is not None
    primary = result.catalog.rotations["primary"]
    assert [on_duty(primary, datetime(2026, 12, day, 12, tzinfo=UTC)) for day in (14, 21, 24, 28)] == [
        "alpha",
        "beta",
        "lead",
        "alpha",
    ]
    assert result.catalog.contacts["beta"].ways == (Way.SMS, Way.SLACK, Way.PHONE)


MODELS = (
    Runbook, Step, Watching, Contact, Team, Rotation, DutyOverride, PagerDutyOnCall, BusinessHours, ExternalContact, Level,
    Condition, EscalationPolicy, RunbookEscalation, SeverityPolicy,
)  # fmt: skip


@pytest.mark.parametrize("model", MODELS)
def test_the_documentation_names_every_field(model: type[BaseModel]) -> None:
    """A field that nobody can read about does not exist for those who write runbooks."""
    text = (FOLDER.parent / "docs" / "runbooks.md").read_text(encoding="utf-8")
    names = [declared.alias or name for name, declared in model.model_fields.items()]
    assert [name for name in names if f"`{name}`" not in text and f"{name}:" not in text] == []


@pytest.mark.parametrize("word", [*Trigger, *Way])
def test_the_documentation_names_every_trigger_and_way(word: str) -> None:
    """What may be written in `when` and in `via`."""
    assert f"`{word}`" in (FOLDER.parent / "docs" / "runbooks.md").read_text(encoding="utf-8")


def test_a_copy_in_the_timeline_is_the_same_runbook(catalog: Catalog) -> None:
    """The snapshot of each shipped runbook reads back as it was."""
    for runbook in catalog.runbooks.values():
        assert Runbook.model_validate(runbook.model_dump(mode="json", by_alias=True)) == runbook
