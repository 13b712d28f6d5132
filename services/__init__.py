"""Processes and the outside world. Start with `services.compose`."""
