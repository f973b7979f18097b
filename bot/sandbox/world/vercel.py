"""A stand-in for Vercel's REST API: variables, deployments that take their time, promotion and rollback of one team's project.

Replies carry values, as the real ones can: that they end up nowhere is the client's business, and is tested. A deployment keeps
the variables of the moment at which it was made, so a changed variable does nothing until there is a new one.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from aiohttp import web

from bot.sandbox.world import vercel_data
from bot.sandbox.world.recording import describe
from bot.sandbox.world.switches import API_STATES, Switch
from bot.sandbox.world.vercel_data import LIVE_ID as LIVE_ID
from bot.sandbox.world.vercel_data import PREVIOUS_ID as PREVIOUS_ID
from bot.sandbox.world.vercel_data import PROJECT as PROJECT
from bot.sandbox.world.vercel_data import PROJECT_ID as PROJECT_ID
from bot.sandbox.world.vercel_data import VALUE_CANARY as VALUE_CANARY
from bot.sandbox.world.vercel_data import WATCHED, variable

TOKEN: Final = "sandbox-vercel-token"  # noqa: S105 - opens nothing but this stand-in
TEAM_ID: Final = "team_sandbox"

_FOLLOW_S: Final = 300.0
_LOOK_EVERY_S: Final = 0.02


class RefusalError(Exception):
    """An error answer: status, Vercel's code, and what else its body says."""

    def __init__(self, status: int, code: str, **more: Any) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.more = more


class VercelStandIn:
    """One team, one project. ``clock`` gives epoch seconds.

    ``build_s`` is how long a build takes, ``alias_s`` how long after it production points there. ``refusals`` are the answers to
    the next calls that change something, before anything is done. ``is_rolling`` puts promotions into a queue that never moves.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self.env = Switch(
            "CLERK_SECRET_KEY in Vercel", ("present", "missing", "hidden", "shared", "single"), fine=("shared", "single")
        )
        self.api = Switch("Vercel's API", API_STATES)
        self.builds = Switch("New deployments in Vercel", ("succeed", "keep old variables", "fail"))
        self.build_s = 8.0
        self.alias_s = 1.0
        self.is_rolling = False
        self.refusals: list[RefusalError] = []
        self.permissions: dict[str, list[str]] = {
            "projectEnvVarsProduction": ["create", "read", "update", "delete", "list"],
            "deployment": ["create", "read", "list", "delete"],
        }
        self.variables: list[dict[str, Any]] = vercel_data.variables()
        self.deployments: list[dict[str, Any]] = vercel_data.deployments(self._now_ms())
        self.runtime_lines: list[dict[str, Any]] = []
        self.live_id = LIVE_ID
        self.auto_assign = True
        self.last_alias_request: dict[str, Any] | None = None
        self._env_of: dict[str, dict[str, str]] = {}
        """The production variables of deployments made here, by id."""
        self._staged: set[str] = set()
        """Those that were ready while nothing is given to production by itself."""
        self._ids = itertools.count(10)

    # -- for tests and for the application -------------------------------------------------------------------------

    def serve_with(self, env: Mapping[str, str]) -> None:
        """What serves production at this moment was made with these variables."""
        self._env_of[self.live_id] = dict(env)

    def live_env(self) -> Mapping[str, str]:
        """The variables of the deployment that serves production."""
        self._settle()
        return self._env_of.get(self.live_id, {})

    def find(self, deployment_id: str) -> dict[str, Any]:
        """A deployment as it is now. Raises: RefusalError (404)."""
        self._settle()
        for found in self.deployments:
            if found["id"] == deployment_id:
                return found
        raise RefusalError(404, "not_found")

    def push(self, message: str = "Another change") -> str:
        """Somebody pushes to the main branch: a production deployment with the variables of now. Its id."""
        return str(self._build({"githubCommitSha": "f00d5eed", "githubCommitMessage": message}, self._production_env())["id"])

    def made(self) -> list[dict[str, Any]]:
        """The deployments that were made since the start, oldest first."""
        self._settle()
        return [found for found in self.deployments if found["id"] in self._env_of]

    # -- answering -------------------------------------------------------------------------------------------------

    async def answer(self, request: web.Request, path: str) -> web.StreamResponse:
        """Any call below ``/vercel``."""
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        self._settle()
        segments = path.strip("/").split("/")
        body = await _body_of(request)
        try:
            if request.method != "GET" and self.refusals:
                raise self.refusals.pop(0)
            if request.method == "GET" and segments[-1] == "runtime-logs":
                self.find(segments[4])
                return await self._follow(request)
            status, answer = self._result(request.method, segments, dict(request.query), body)
        except RefusalError as error:
            return _error(error.status, error.code, "It is not done.", **error.more)
        return web.json_response(answer, status=status)

    def _result(self, method: str, segments: list[str], query: dict[str, str], body: Any) -> tuple[int, Any]:
        match (method, *segments):
            case (_, _, "projects", project, *_) if project not in (PROJECT, PROJECT_ID):
                raise RefusalError(404, "not_found")
            case ("GET", "v10", "projects", _, "env"):
                return 200, self._list()
            case ("GET", "v1", "projects", _, "env", env_id):
                return 200, self._value(env_id)
            case ("POST", "v10", "projects", _, "env"):
                return 201, self._write(body, upsert=query.get("upsert") == "true")
            case ("PATCH", "v9", "projects", _, "env", env_id):
                return 200, self._edit(env_id, body)
            case ("DELETE", "v9", "projects", _, "env", env_id):
                self.variables.remove(self._variable(env_id))
                return 200, {}
            case ("GET", "v9", "projects", _):
                return 200, self._project()
            case ("GET", "v1", "env"):
                shared = self.env.value == "shared" and query.get("projectId") == PROJECT_ID
                data = [variable("env_5", WATCHED, ["production"])] if shared else []
                return 200, {"data": data, "pagination": {"count": len(data), "next": None, "prev": None}}
            case ("GET", "v7", "deployments"):
                return 200, self._deployments(query)
            case ("GET", "v13", "deployments", deployment_id):
                return 200, self.find(deployment_id)
            case ("GET", "v3", "deployments", deployment_id, "events"):
                return 200, self._events(self.find(deployment_id), query)
            case ("POST", "v13", "deployments"):
                return 200, self._deploy(body)
            case ("PATCH", "v12", "deployments", deployment_id, "cancel"):
                return 200, self._cancel(deployment_id)
            case ("POST", "v10", "projects", _, "promote", deployment_id):
                return self._promote(deployment_id)
            case ("POST", "v1", "projects", _, "rollback", deployment_id):
                return self._rollback(deployment_id)
        raise RefusalError(404, "not_found")

    # -- variables -------------------------------------------------------------------------------------------------

    def _list(self) -> dict[str, Any]:
        if self.env.value == "single":
            return next(found for found in self.variables if found["key"] == WATCHED)
        if self.env.value == "present":
            return {"envs": self.variables, "pagination": {"count": len(self.variables), "next": None, "prev": None}}
        rest = [found for found in self.variables if found["key"] != WATCHED or "production" not in found["target"]]
        if self.env.value == "hidden":
            return {"envs": rest, "hiddenProductionEnvCount": len(self.variables) - len(rest)}
        return {"envs": rest, "pagination": {"count": len(rest), "next": None, "prev": None}}

    def _variable(self, env_id: str) -> dict[str, Any]:
        found = next((found for found in self.variables if found["id"] == env_id), None)
        if found is None:
            raise RefusalError(404, "not_found")
        return found

    def _value(self, env_id: str) -> dict[str, Any]:
        found = self._variable(env_id)
        return {**found, "value": ""} if found["type"] == "sensitive" else found

    def _write(self, body: Any, *, upsert: bool) -> dict[str, Any]:
        created, failed = [], []
        for given in body if isinstance(body, list) else [body]:
            describe(action="env", key=str(given["key"]))
            same = [
                found for found in self.variables if found["key"] == given["key"] and set(found["target"]) & set(given["target"])
            ]
            if same and (not upsert or set(same[0]["target"]) != set(given["target"])):
                code = "ENV_CONFLICT" if upsert else "ENV_ALREADY_EXISTS"
                failed.append({"error": {"code": code, "message": "…", "key": given["key"], "target": given["target"]}})
                continue
            now_ms = self._now_ms()
            if same:
                same[0].update(value=given["value"], comment=given.get("comment", ""), updatedAt=now_ms)
                created.append(same[0])
                continue
            fresh = {**variable(f"env_{next(self._ids)}", given["key"], list(given["target"])), **given}
            fresh |= {"createdAt": now_ms, "updatedAt": now_ms}
            self.variables.append(fresh)
            created.append(fresh)
        return {"created": created if isinstance(body, list) else created[0] if created else {}, "failed": failed}

    def _edit(self, env_id: str, body: Any) -> dict[str, Any]:
        found = self._variable(env_id)
        found.update({name: value for name, value in body.items() if name in ("value", "target", "type", "comment")})
        found["updatedAt"] = self._now_ms()
        return found

    def _production_env(self) -> dict[str, str]:
        return {found["key"]: str(found["value"]) for found in self.variables if "production" in found["target"]}

    # -- deployments -----------------------------------------------------------------------------------------------

    def _deploy(self, body: Any) -> dict[str, Any]:
        describe(action="deploy", key=str(body.get("deploymentId", "")))
        env = self._production_env()
        if "deploymentId" in body:
            original = self.find(body["deploymentId"])
            if self.builds.value == "keep old variables":
                env = self._env_of.get(original["id"], {})
            commit = original["meta"]
        else:
            commit = {"githubCommitSha": str(body["gitSource"].get("sha", ""))}
        git = {key: text for key, text in commit.items() if key.startswith("github")}
        return self._build({**git, **body.get("meta", {})}, env)

    def _build(self, meta: dict[str, str], env: dict[str, str]) -> dict[str, Any]:
        made = vercel_data.deployment(
            next(self._ids), self._now_ms(), target="production", state="QUEUED", substate=None, meta=meta
        )
        self._env_of[made["id"]] = dict(env)
        self.deployments.append(made)
        self._settle()
        return made

    def _settle(self) -> None:
        """Let everything become what it is by now."""
        now_ms = self._now_ms()
        for found in self.deployments:
            if found["id"] in self._env_of:
                self._grow(found, now_ms)
        request = self.last_alias_request
        if request and request["jobStatus"] in ("pending", "in-progress") and not self.is_rolling:
            passed_ms = now_ms - request["requestedAt"]
            request["jobStatus"] = "succeeded" if passed_ms >= self.alias_s * 1000 else "in-progress"
            if request["jobStatus"] == "succeeded":
                self._serve(self._known(request["toDeploymentId"]), now_ms)

    def _known(self, deployment_id: str) -> dict[str, Any]:
        """One that certainly is there."""
        return next(found for found in self.deployments if found["id"] == deployment_id)

    def _grow(self, found: dict[str, Any], now_ms: int) -> None:
        age_s = (now_ms - found["created"]) / 1000
        if found["readyState"] in ("QUEUED", "BUILDING"):
            if age_s < self.build_s:
                self._be(found, "BUILDING" if age_s >= self.build_s / 10 else "QUEUED")
                return
            if self.builds.value == "fail":
                self._be(found, "ERROR")
                found["errorCode"] = "BUILD_FAILED"
                return
            self._be(found, "READY")
            found |= {"ready": now_ms, "readySubstate": "STAGED"}
        served = found["readySubstate"] == "PROMOTED"
        if found["readyState"] != "READY" or served or found["id"] in self._staged or age_s < self.build_s + self.alias_s:
            return
        if self.auto_assign and found["created"] >= self._known(self.live_id)["created"]:
            self._serve(found, now_ms)
        else:
            self._staged.add(found["id"])

    def _serve(self, found: dict[str, Any], now_ms: int) -> None:
        found |= {"readySubstate": "PROMOTED", "isRollbackCandidate": True, "aliasAssigned": now_ms}
        self.live_id = found["id"]

    @staticmethod
    def _be(found: dict[str, Any], state: str) -> None:
        found |= {"readyState": state, "state": state}

    def _cancel(self, deployment_id: str) -> dict[str, Any]:
        found = self.find(deployment_id)
        if found["readyState"] not in ("QUEUED", "BUILDING"):
            raise RefusalError(400, "bad_request")
        self._be(found, "CANCELED")
        return found

    def _deployments(self, query: dict[str, str]) -> dict[str, Any]:
        found = [
            one
            for one in reversed(self.deployments)
            if query.get("target") in (None, one["target"]) and one["created"] >= int(query.get("since", "0"))
        ]
        page = found[: int(query.get("limit", "20"))]
        return {"deployments": page, "pagination": {"count": len(page), "next": None, "prev": None}}

    def _project(self) -> dict[str, Any]:
        return {
            "id": PROJECT_ID,
            "name": PROJECT,
            "accountId": TEAM_ID,
            "targets": {"production": {"id": self.live_id, "readyState": "READY"}},
            "autoAssignCustomDomains": self.auto_assign,
            "lastAliasRequest": self.last_alias_request,
            "lastRollbackTarget": None,
            "permissions": self.permissions,
        }

    # -- promotion and rollback ------------------------------------------------------------------------------------

    def _promote(self, deployment_id: str) -> tuple[int, Any]:
        found = self.find(deployment_id)
        if found["target"] != "production" or found["readyState"] != "READY":
            raise RefusalError(422, "unprocessable_entity")
        self.auto_assign = True
        return self._move("promote", deployment_id)

    def _rollback(self, deployment_id: str) -> tuple[int, Any]:
        found = self.find(deployment_id)
        if not found["isRollbackCandidate"]:
            raise RefusalError(422, "unprocessable_entity")
        self.auto_assign = False
        return self._move("rollback", deployment_id)

    def _move(self, kind: str, deployment_id: str) -> tuple[int, Any]:
        describe(action=kind, key=deployment_id)
        if deployment_id == self.live_id:
            raise RefusalError(409, "conflict")
        self.last_alias_request = {
            "type": kind,
            "jobStatus": "pending",
            "fromDeploymentId": self.live_id,
            "toDeploymentId": deployment_id,
            "requestedAt": self._now_ms(),
        }
        return (202 if self.is_rolling else 201), {}

    # -- logs ------------------------------------------------------------------------------------------------------

    @staticmethod
    def _events(found: dict[str, Any], query: dict[str, str]) -> list[dict[str, Any]]:
        texts = [("command", "npm run build"), ("stdout", "Creating an optimized production build")]
        if found["readyState"] == "ERROR":
            texts += [("stderr", "Error: Cannot find module './banner'"), ("stderr", 'Command "npm run build" exited with 1')]
        else:
            texts.append(("stdout", "Build Completed"))
        lines = [
            {"type": kind, "created": found["created"] + number, "payload": {"deploymentId": found["id"], "text": text}}
            for number, (kind, text) in enumerate(texts)
        ]
        wanted = lines[-int(query.get("limit", "100")) :]
        return wanted[::-1] if query.get("direction") == "backward" else wanted

    async def _follow(self, request: web.Request) -> web.StreamResponse:
        """Every line there is, and then silence until the caller has gone: the real one is a live log too."""
        response = web.StreamResponse(headers={"Content-Type": "application/stream+json"})
        await response.prepare(request)
        for line in self.runtime_lines:
            await response.write(
                json.dumps({"timestampInMs": self._now_ms(), "rowId": "1", "source": "lambda", **line}).encode() + b"\n"
            )
        deadline = time.monotonic() + _FOLLOW_S
        while time.monotonic() < deadline and request.transport is not None and not request.transport.is_closing():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(_LOOK_EVERY_S)
        return response

    # -- trouble ---------------------------------------------------------------------------------------------------

    def _refusal(self, request: web.Request) -> web.Response | None:
        state = self.api.value
        if state == "html":
            return web.Response(text="<!doctype html><title>Vercel</title>", content_type="text/html")
        if state == "error":
            return _error(500, "internal_server_error", "An unexpected error occurred.")
        if state == "rate_limited":
            limit = {"total": 60, "remaining": 0, "reset": round(time.time()) + 60}
            return _error(429, "rate_limited", "…", limit=limit)
        if state == "unauthorized" or request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return _error(403, "forbidden", "Not authorized")
        if request.query.get("teamId") != TEAM_ID:  # what belongs to a team is invisible without it
            return _error(404, "not_found", "The requested resource was not found.")
        return None

    def _now_ms(self) -> int:
        return round(self._clock() * 1000)


async def _body_of(request: web.Request) -> Any:
    with contextlib.suppress(ValueError):  # a call without a body
        return await request.json()
    return None


def _error(status: int, code: str, message: str, **more: Any) -> web.Response:
    return web.json_response({"error": {"code": code, "message": message, **more}}, status=status)
