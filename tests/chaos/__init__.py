"""Muster under fault: killed and stopped at named points, lied to by Slack, without Redis, in several replicas.

``python -m tests.chaos`` (``make chaos``) runs all of it and prints its tables; the ``test_*.py`` here run what is quick.
"""
