"""The ways to reach people, against stand-ins that speak the providers’ protocols on loopback."""
