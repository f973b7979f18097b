"""The folder of runbooks: from files to a `Catalog`, or to every fault in them with file, line and column.

    services.yml    the services and their variables
    contacts.yml    our contacts, teams and rotations, external contacts, the escalation policies
    severities.yml  what SEV1 to SEV4 mean and promise
    policy.yml      what trigger phrases do, who may what; may be left out
    <folder>/*.yml  the runbooks, in any sub-folder but templates/

Called at start-up, on a reload and by `muster check`. Nothing here raises for what is wrong with a file, and a faulty
folder gives no catalog at all: half a catalog at 3 am is worse than the one from before.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Protocol, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from bot.domain.catalog import Catalog, OnPhrase, make_catalog
from bot.domain.durations import DurationS
from bot.domain.escalation import (
    DEFAULT_POLICY,
    BusinessHours,
    Contact,
    EscalationPolicy,
    ExternalContact,
    Rotation,
    Team,
)
from bot.domain.policy import ACCOUNT_PATTERN, DEFAULT_PERMISSIONS, WHO_PATTERN, ActionPolicy, Permission
from bot.domain.reach import configured_ways
from bot.domain.runbook import Runbook
from bot.domain.scalars import WholeNumber
from bot.domain.service import Service
from bot.domain.severity import Severity, SeverityPolicy
from bot.storage.escalation_rules import (
    contact_findings,
    policies_findings,
    rotation_findings,
    severity_findings,
    team_findings,
)
from bot.storage.findings import Actions, Finding, IsSet, Surroundings
from bot.storage.model_faults import build, fault_of
from bot.storage.phrase_rules import Place, phrases_together
from bot.storage.policy_rules import policy_findings
from bot.storage.runbook_folder import CONTACTS, POLICY, SERVICES, SEVERITIES, TEMPLATES, find_runbooks
from bot.storage.runbook_rules import check_runbook, repeated
from bot.storage.runbook_variables import (
    nested_variables,
    override_variables,
    replace_variables,
    unset_variables,
)
from bot.storage.yaml_strict import Document, Fault, YamlPath, load_yaml

SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"

Model = TypeVar("Model", bound=BaseModel)

_STRICT = ConfigDict(frozen=True, extra="forbid")


class ServicesFile(BaseModel):
    """services.yml"""

    model_config = _STRICT

    services: tuple[Service, ...] = Field(min_length=1)


class ContactsFile(BaseModel):
    """contacts.yml"""

    model_config = _STRICT

    business_hours: BusinessHours = BusinessHours()
    contacts: tuple[Contact, ...] = Field(min_length=1)
    teams: tuple[Team, ...] = ()
    rotations: tuple[Rotation, ...] = ()
    external: tuple[ExternalContact, ...] = ()
    policies: tuple[EscalationPolicy, ...] = Field(min_length=1)


class SeveritiesFile(BaseModel):
    """severities.yml: all four, always."""

    model_config = _STRICT

    SEV1: SeverityPolicy
    SEV2: SeverityPolicy
    SEV3: SeverityPolicy
    SEV4: SeverityPolicy


def _several(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Who = Annotated[str, StringConstraints(pattern=WHO_PATTERN)]
AccountId = Annotated[str, StringConstraints(pattern=ACCOUNT_PATTERN)]
_Allowed = Annotated[
    tuple[Who, ...], BeforeValidator(_several, json_schema_input_type=Who | list[Who]), Field(min_length=1, max_length=50)
]


class Permissions(BaseModel):
    """`permissions` of policy.yml: for each, one or several of `everyone`, `responders`, `admins`, user groups and people."""

    model_config = _STRICT

    declare: _Allowed = DEFAULT_PERMISSIONS[Permission.DECLARE]
    """Say that something is broken."""
    read: _Allowed = DEFAULT_PERMISSIONS[Permission.READ]
    """Run diagnostics and actions that only read."""
    change: _Allowed = DEFAULT_PERMISSIONS[Permission.CHANGE]
    """Run actions that change one thing."""
    destructive: _Allowed = DEFAULT_PERMISSIONS[Permission.DESTRUCTIVE]
    """Ask for actions that need a second person."""
    approve: _Allowed = DEFAULT_PERMISSIONS[Permission.APPROVE]
    """Be the second person."""
    configure: _Allowed = DEFAULT_PERMISSIONS[Permission.CONFIGURE]
    """Change what Muster does for everybody."""


class PolicyFile(BaseModel):
    """policy.yml"""

    model_config = _STRICT

    on_phrase: OnPhrase = "auto"
    default_severity: Severity = Severity.SEV3
    permissions: Permissions = Permissions()
    admins: Annotated[
        tuple[Who, ...], BeforeValidator(_several, json_schema_input_type=Who | list[Who]), Field(max_length=50)
    ] = ()
    """Who may do what is left to `admins`; without a name, the owners and admins of the Slack workspace."""
    approval_expires: DurationS = 900
    """How long a preview can be confirmed."""
    break_glass_after: DurationS = 300
    """How long a second person is waited for before whoever asked may go on alone, with a reason."""
    most_accounts: Annotated[WholeNumber, Field(ge=1, le=1_000_000)] = 1_000
    """The most accounts that one action may hit."""
    protected_accounts: tuple[AccountId, ...] = ()
    """Accounts that no action may hit: service users, the last administrator."""

    def actions(self) -> ActionPolicy:
        """The part that is about actions."""
        named = {Permission(name): who for name, who in self.permissions}
        return ActionPolicy(
            permissions=named,
            admins=self.admins,
            approval_s=self.approval_expires,
            break_glass_s=self.break_glass_after,
            most_accounts=self.most_accounts,
            protected_accounts=self.protected_accounts,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadResult:
    """``catalog`` is None when there is any fault of level "error". ``faults`` are in order of file, line and
    column."""

    catalog: Catalog | None
    faults: tuple[Fault, ...]


def load_catalog(
    folder: Path, *, actions: Actions, overrides: Mapping[str, str] | None = None, is_set: IsSet | None = None
) -> LoadResult:
    """Everything in ``folder``, checked; all faults in one go. Blocks: call it in a thread where an event loop runs.

    ``actions`` are those that there are, by name. ``overrides`` replaces variables of services, by environment name with or
    without the prefix: {"CLERK_APP_URL": "https://…"} or {"MUSTER_VAR_CLERK_APP_URL": …}. ``is_set`` tells which settings
    have a value where Muster runs (Slack's are taken for set); None: that is not known, and nothing is said about it.
    """
    if not folder.is_dir():
        missing = Fault(
            path=str(folder), line=1, column=1, message="is not a folder", remedy="set MUSTER_RUNBOOKS to the runbooks"
        )
        return LoadResult(catalog=None, faults=(missing,))
    loading = _Loading(folder, actions, overrides or {}, is_set)
    catalog = loading.run()
    return LoadResult(catalog=catalog, faults=tuple(sorted(set(loading.faults))))


def check_paths(
    paths: Sequence[Path], *, actions: Actions, overrides: Mapping[str, str] | None = None, is_set: IsSet | None = None
) -> tuple[Fault, ...]:
    """The faults of folders (as a whole) and of single files (in the folder that they belong to, if there is one)."""
    found = (fault for path in paths for fault in _check_path(path, actions, overrides or {}, is_set))
    return tuple(sorted(set(found)))


def _check_path(path: Path, actions: Actions, overrides: Mapping[str, str], is_set: IsSet | None) -> Iterable[Fault]:
    if path.is_dir():
        return load_catalog(path, actions=actions, overrides=overrides, is_set=is_set).faults
    if not os.path.lexists(path):
        return (Fault(path=str(path), line=1, column=1, message="does not exist", remedy="check the path"),)
    here = Path(os.path.abspath(path))
    folder = next((parent for parent in here.parents if (parent / SERVICES).is_file()), None)
    if folder is None:
        loading = _Loading(path.parent, actions, overrides, is_set)
        loading.check_alone(path)
        return loading.faults
    at_the_top = {folder / SERVICES, folder / CONTACTS, folder / SEVERITIES, folder / POLICY}
    if here not in at_the_top and here not in find_runbooks(folder)[0]:
        remedy = "runbooks are the .yml files in the sub-folders, but for templates and names that begin with a dot"
        return (Fault(path=str(path), line=1, column=1, message="is not read by Muster", remedy=remedy),)
    faults = load_catalog(folder, actions=actions, overrides=overrides, is_set=is_set).faults
    return (replace(fault, path=str(path)) for fault in faults if fault.path == str(here))


def runbook_json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a runbook file, for editors. What refers to other files only `muster check` can
    judge."""
    schema = Runbook.model_json_schema(by_alias=True, mode="validation")
    return {"$schema": SCHEMA_DIALECT, **schema, "title": "Muster runbook"}


class _HasId(Protocol):
    @property
    def id(self) -> str: ...


def _ids(key: str, items: Sequence[_HasId]) -> list[tuple[YamlPath, str]]:
    """The ids of the entries of the list ``key``, with their paths."""
    return [((key, index, "id"), item.id) for index, item in enumerate(items)]


@dataclass(slots=True)
class _Loading:
    """One reading of a folder. Faults are collected, and what could not be read is left out of the later checks."""

    folder: Path
    actions: Actions
    overrides: Mapping[str, str]
    is_set: IsSet | None
    faults: list[Fault] = field(default_factory=list)

    def run(self) -> Catalog | None:
        paths, misplaced = find_runbooks(self.folder)
        self.faults += misplaced
        services = self._services()
        contacts = self._contacts()
        severities = self._severities()
        policy = self._policy()
        around = self._surroundings(services, contacts)
        self._check_contacts(contacts, around)
        self._check_severities(severities, around)
        runbooks = self._runbooks(paths, services, around)
        if any(fault.level == "error" for fault in self.faults) or not (services and contacts and severities):
            return None
        return make_catalog(
            runbooks=runbooks,
            services=services,
            contacts=contacts[1].contacts,
            external_contacts=contacts[1].external,
            policies=contacts[1].policies,
            severities=severities[1],
            teams=contacts[1].teams,
            rotations=contacts[1].rotations,
            business_hours=contacts[1].business_hours,
            ways=around.ways,
            on_phrase=policy[1].on_phrase if policy else "auto",
            default_severity=policy[1].default_severity if policy else Severity.SEV3,
            policy=(policy[1] if policy else PolicyFile()).actions(),
        )

    def check_alone(self, path: Path) -> None:
        """Check a runbook that belongs to no folder: what it refers to outside of itself is not judged."""
        self._runbooks([path], None, self._surroundings(None, None))

    def _file(self, name: str, model: type[Model]) -> tuple[Document, Model] | None:
        path = self.folder / name
        if not os.path.lexists(path):
            remedy = "create it; docs/runbooks.md shows how"
            self.faults.append(Fault(path=str(path), line=1, column=1, message="is missing", remedy=remedy))
            return None
        loaded = load_yaml(path, folder=self.folder, name=str(path))
        self.faults += loaded.faults
        if loaded.document is None:
            return None
        content, faults = build(model, loaded.document.data, loaded.document)
        self.faults += faults
        return (loaded.document, content) if content is not None else None

    def _find(self, document: Document, findings: Iterable[Finding]) -> None:
        for found in findings:
            if found.detail is not None and found.model is not None:
                self.faults.append(fault_of(document, found.path, found.detail, found.model))
                continue
            self.faults.append(document.fault(found.path, found.message, found.remedy, level=found.level))

    def _services(self) -> tuple[Service, ...] | None:
        read = self._file(SERVICES, ServicesFile)
        if read is None:
            return None
        document, content = read
        self._find(document, repeated(_ids("services", content.services), "service"))
        self._find(document, nested_variables(content.services))
        services, unknown = override_variables(content.services, self.overrides)
        self._find(document, unknown)
        self._find(document, unset_variables(services))
        return services

    def _contacts(self) -> tuple[Document, ContactsFile] | None:
        read = self._file(CONTACTS, ContactsFile)
        if read is None:
            return None
        document, content = read
        kinds = (("contacts", content.contacts), ("teams", content.teams), ("rotations", content.rotations))
        ids = [place for key, items in kinds for place in _ids(key, items)]
        self._find(document, repeated([*ids, *_ids("external", content.external)], "contact, team or rotation"))
        self._find(document, repeated(_ids("policies", content.policies), "policy"))
        if all(policy.id != DEFAULT_POLICY for policy in content.policies):
            message = f"there is no escalation policy “{DEFAULT_POLICY}”"
            self.faults.append(document.fault(("policies",), message, "add it: runbooks inherit it unless they say otherwise"))
        return read

    def _severities(self) -> tuple[Document, Mapping[Severity, SeverityPolicy]] | None:
        read = self._file(SEVERITIES, SeveritiesFile)
        if read is None:
            return None
        document, content = read
        return document, {severity: getattr(content, severity.value) for severity in Severity}

    def _policy(self) -> tuple[Document, PolicyFile] | None:
        """None: there is none, which is allowed, or it cannot be read."""
        read = self._file(POLICY, PolicyFile) if os.path.lexists(self.folder / POLICY) else None
        if read is not None:
            self._find(read[0], policy_findings(read[1].actions()))
        return read

    def _surroundings(self, services: Sequence[Service] | None, contacts: tuple[Document, ContactsFile] | None) -> Surroundings:
        content = contacts[1] if contacts else None
        return Surroundings(
            actions=self.actions,
            is_set=self.is_set,
            services={item.id: item for item in reversed(services)} if services is not None else None,
            contacts={contact.id: contact for contact in content.contacts} if content else None,
            external_contacts={contact.id: contact for contact in content.external} if content else {},
            policies={policy.id: policy for policy in content.policies} if content else None,
            teams={team.id: team for team in content.teams} if content else {},
            rotations={rotation.id: rotation for rotation in content.rotations} if content else {},
            templates=self.folder / TEMPLATES if services is not None else None,
            ways=configured_ways(self.is_set) if self.is_set is not None else None,
        )

    def _check_contacts(self, contacts: tuple[Document, ContactsFile] | None, around: Surroundings) -> None:
        if contacts is None:
            return
        document, content = contacts
        self._find(document, contact_findings(content.contacts, content.external, around.ways))
        self._find(document, team_findings(content.teams, around))
        self._find(document, rotation_findings(content.rotations, around, now=datetime.now(UTC), is_set=self.is_set))
        self._find(document, policies_findings(content.policies, around))

    def _check_severities(
        self, severities: tuple[Document, Mapping[Severity, SeverityPolicy]] | None, around: Surroundings
    ) -> None:
        if severities is not None:
            self._find(severities[0], severity_findings(severities[1], around))

    def _runbooks(self, paths: Iterable[Path], services: Sequence[Service] | None, around: Surroundings) -> list[Runbook]:
        by_id: dict[str, Path] = {}
        read: list[tuple[Document, Runbook]] = []
        for path in paths:
            loaded = load_yaml(path, folder=self.folder, name=str(path))
            self.faults += loaded.faults
            runbook = self._runbook(loaded.document, services, around) if loaded.document else None
            if runbook is None or loaded.document is None:
                continue
            if runbook.id in by_id:
                message = f"the runbook {by_id[runbook.id]} has the id “{runbook.id}” too"
                self.faults.append(loaded.document.fault(("id",), message, "give each its own id"))
            by_id.setdefault(runbook.id, path)
            read.append((loaded.document, runbook))
        self._phrases(read, around)
        return [runbook for _, runbook in read]

    def _phrases(self, read: Sequence[tuple[Document, Runbook]], around: Surroundings) -> None:
        places = [
            Place(runbook=number, file=os.path.relpath(document.path, self.folder), index=index, phrase=phrase)
            for number, (document, runbook) in enumerate(read)
            if around.services is None or ((service := around.services.get(runbook.service)) and service.enabled)
            for index, phrase in enumerate(runbook.triggers.phrases)
        ]
        for place, finding in phrases_together(places):
            self._find(read[place.runbook][0], [finding])

    def _runbook(self, document: Document, services: Sequence[Service] | None, around: Surroundings) -> Runbook | None:
        data = document.data
        named = data.get("service") if isinstance(data, dict) else None
        service = next((item for item in services or () if item.id == named), None)
        data, findings = replace_variables(data, service)
        self._find(document, findings)
        runbook, faults = build(Runbook, data, document)
        self.faults += faults
        if runbook is not None:
            self._find(document, check_runbook(runbook, around))
        return runbook
