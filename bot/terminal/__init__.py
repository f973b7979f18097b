"""The commands of ``muster``, one module each, loaded when they are used. ``bot.cli`` has the table."""
