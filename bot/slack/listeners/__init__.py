"""What Slack sends, parsed into commands for the desk. A listener decides and commits first, then answers Slack."""
