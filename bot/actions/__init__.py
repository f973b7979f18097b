"""What a step of a checklist may do: one file per system, each action a params model and a function.

`bot.actions.registry.load_actions` lists them, `bot.actions.runner` runs them for the worker and the terminal. Who may
run an action, and what Slack shows of it, does not belong here.
"""
