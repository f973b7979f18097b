"""How things look in Slack: pure functions from state to Block Kit. No call is made here."""
