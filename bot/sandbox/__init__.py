"""A workspace to try Muster in: a strict stand-in for Slack with a page, and small stand-ins for the other systems.

``server.Sandbox`` is the way in. ``muster demo`` starts it, the tests drive it, and nothing else imports it: the bot
knows only its URLs. What a person of the workspace does is in ``workspace``, what the bot may call in ``web_api`` and
``methods``, what is sent to the bot in ``delivery``, and the page's own interface in ``control``.
"""
