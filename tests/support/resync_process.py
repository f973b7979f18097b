"""Copies Clerk's users in a process of its own, which a test lets die: ``python -m tests.support.resync_process``.

The environment says where Clerk, the database and Redis are, of which run the notes are, and where it dies.
"""

from __future__ import annotations

import asyncio
import os

from pydantic import SecretStr

from bot.actions.registry import load_actions
from bot.actions.runner import execute
from bot.actions.spec import ActionContext
from bot.providers.config import ProviderConfig
from bot.providers.table import Providers
from bot.services.crashpoints import arm
from bot.storage.jobs import RedisJobs
from bot.storage.redis import connect


async def main() -> None:
    """One attempt; the outcome is its last line."""
    arm(os.environ.get("CRASH_AT"))
    client = connect(os.environ["REDIS_URL"], timeout_s=5)
    config = ProviderConfig(
        clerk_secret_key=SecretStr(os.environ["CLERK_SECRET_KEY"]),
        clerk_api_url=os.environ["CLERK_API_URL"],
        database_url=SecretStr(os.environ["DATABASE_URL"]),
    )
    params = {"table": os.environ["USERS_TABLE"], "columns": os.environ["USERS_COLUMNS"]}
    async with Providers(config) as providers:
        job = RedisJobs(client, workspace_id=os.environ["WORKSPACE"])("inc-1", "run-1")
        context = ActionContext(providers=providers, job=job)
        print((await execute(load_actions()["application.resync_users"], params, context)).model_dump_json())
    await client.aclose()


if __name__ == "__main__":
    asyncio.run(main())
