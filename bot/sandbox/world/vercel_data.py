"""What the stand-in for Vercel knows at its start: variables, and the deployments of the last days."""

from __future__ import annotations

from typing import Any, Final

PROJECT: Final = "web"
PROJECT_ID: Final = "prj_sandbox"
VALUE_CANARY: Final = "sk_live_VALUEOFTHEVARIABLE"
WATCHED: Final = "CLERK_SECRET_KEY"
"""The variable that the switch takes away."""
LIVE_ID: Final = "dpl_sandbox4"
"""What serves production at the start."""
PREVIOUS_ID: Final = "dpl_sandbox3"

_MINUTE_MS: Final = 60_000
_HISTORY: Final = (
    # minutes ago, target, state, substate, commit, message, author
    (4_320, "production", "READY", "PROMOTED", "9f8e7d6c5b4a", "Sign in with passkeys", "sam-dev"),
    (1_500, "preview", "READY", "STAGED", "5b4a39281706", "Try another font", "kim-dev"),
    (300, "production", "READY", "PROMOTED", "1c2d3e4f5a6b", "Raise the session lifetime", "kim-dev"),
    (45, "production", "READY", "PROMOTED", "7a6b5c4d3e2f", "Protect every route in the middleware", "sam-dev"),
    (20, "production", "ERROR", None, "0d1e2f3a4b5c", "Add a banner\n\nIt says that we are sorry.", "kim-dev"),
)


def variable(env_id: str, key: str, targets: list[str], **given: Any) -> dict[str, Any]:
    """One variable as Vercel lists it; its value is the canary unless another one is given."""
    return {
        "id": env_id,
        "key": key,
        "value": VALUE_CANARY,
        "type": "encrypted",
        "target": targets,
        "configurationId": None,
        "createdAt": 1_760_000_000_000,
        "updatedAt": 1_760_000_000_000,
        "comment": "",
        **given,
    }


def variables() -> list[dict[str, Any]]:
    """Those of the project itself."""
    return [
        variable("env_1", WATCHED, ["production"]),
        variable("env_2", WATCHED, ["preview", "development"]),
        variable("env_3", "NEXT_PUBLIC_CLERK_PUBLISHABLE_KEY", ["production", "preview", "development"]),
        variable("env_4", "CLERK_WEBHOOK_SIGNING_SECRET", ["production"]),
    ]


def deployments(now_ms: int) -> list[dict[str, Any]]:
    """Oldest first."""
    return [
        deployment(number, now_ms - minutes * _MINUTE_MS, target=target, state=state, substate=substate, meta=_meta(*commit))
        for number, (minutes, target, state, substate, *commit) in enumerate(_HISTORY, start=1)
    ]


def deployment(
    number: int, created_ms: int, *, target: str, state: str, substate: str | None, meta: dict[str, str]
) -> dict[str, Any]:
    """One deployment as Vercel describes it."""
    identity = f"dpl_sandbox{number}"
    return {
        "uid": identity,
        "id": identity,
        "name": PROJECT,
        "projectId": PROJECT_ID,
        "url": f"web-{number}-sandbox.vercel.app",
        "inspectorUrl": f"https://vercel.com/sandbox/web/{number}",
        "created": created_ms,
        "createdAt": created_ms,
        "ready": created_ms + _MINUTE_MS if state == "READY" else None,
        "readyState": state,
        "state": state,
        "readySubstate": substate,
        "target": target,
        "isRollbackCandidate": substate == "PROMOTED",
        "creator": {"uid": "u_1", "username": meta.get("githubCommitAuthorLogin", "muster"), "email": "sam@example.com"},
        "meta": meta,
        "gitSource": {"type": "github", "repoId": 4711, "ref": "main", "sha": meta.get("githubCommitSha", "")},
        "aliasAssigned": created_ms + 2 * _MINUTE_MS if substate == "PROMOTED" else None,
        "aliasError": None,
        "errorCode": "BUILD_FAILED" if state == "ERROR" else None,
        "errorMessage": 'Command "npm run build" exited with 1' if state == "ERROR" else None,
    }


def _meta(sha: str, message: str, author: str) -> dict[str, str]:
    return {
        "githubCommitSha": sha,
        "githubCommitMessage": message,
        "githubCommitRef": "main",
        "githubCommitAuthorLogin": author,
        "githubCommitAuthorName": author,
    }
