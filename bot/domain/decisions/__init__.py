"""The decisions: pure functions from (state, command, context) to facts and tasks, a module for each part of a life."""
