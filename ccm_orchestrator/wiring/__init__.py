"""Builds the daemon from the settings, starts it in order, and stops it in the opposite one."""
