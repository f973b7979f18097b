"""Clients of the outside: one file per vendor API, all HTTP through `bot.providers.http`.

Actions and pagers call them through `bot.providers.table`. What a result means for an incident does not belong here:
that is decided in `bot.actions`.
"""
