"""Ways to reach people outside of Slack: PagerDuty, phone and SMS, e-mail. Each implements ``bot.services.ports.PageWay``.

Slack's own way is in ``bot.slack.pages``: it needs the rest of that package.
"""
