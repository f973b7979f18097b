"""The names of everything that Muster keeps in Redis.

All keys of a workspace share one hash tag, so that a cluster keeps them in one slot and a workspace is a shard. The Lua
scripts build the same names from the prefix; the table below is the documentation of both.

    {muster:T1}:format              "1": the format of everything below; another one is refused at start-up
    {muster:T1}:number              counter of incident numbers
    {muster:T1}:inc:<id>:timeline   list of entries (JSON, ``bot.domain.timeline``)
    {muster:T1}:inc:<id>:room       what is recorded as done in Slack (JSON, ``bot.domain.room.RoomRecord``)
    {muster:T1}:incidents           sorted set of incident ids by opening (ms)
    {muster:T1}:active              set of the ids of incidents that are not over
    {muster:T1}:ended               sorted set of the ids of incidents that were over lately by that moment (ms)
    {muster:T1}:unique:<key>        the incident that holds a unique key
    {muster:T1}:channel:<channel>   the incident whose room a channel is
    {muster:T1}:seen:<delivery>     "<nonce>|<incident id>" of the commit that handled a delivery; expires
    {muster:T1}:due                 sorted set of task ids by the moment (ms) from which they may be claimed
    {muster:T1}:task:<id>           hash: payload, kind, state, due, attempt, asked, token, owner, claimed_at
    {muster:T1}:fence               counter of fencing tokens
    {muster:T1}:bucket:<name>       a rate limit: the moment (ms) at which the bucket is full again; …:paused until when
    {muster:T1}:covers              list of who said that they take over for whom (JSON, ``bot.domain.duty.Cover``); expires
    {muster:T1}:audit               what the last audit left for the next one (JSON, ``bot.services.audit.AuditRecord``)
    {muster:T1}:canary:<run>        list of what became of a test page (JSON, ``bot.services.canary.Note``); expires
    {muster:T1}:job:<incident>:<run>:notes  hash of what a long run noted (JSON); with the next two it expires
    {muster:T1}:job:<incident>:<run>:queue  sorted set of what it still has to do, in its order
    {muster:T1}:job:<incident>:<run>:ended  hash of how each item ended
    {muster:T1}:ping                written by /readyz, to see that writing works
    {muster:T1}:clock:offset        ms added to Redis TIME; only the sandbox and tests set it
"""

from __future__ import annotations

FORMAT = "1"


def prefix(workspace_id: str) -> str:
    """The beginning of every key of a workspace, with its hash tag."""
    return f"{{muster:{workspace_id}}}:"
