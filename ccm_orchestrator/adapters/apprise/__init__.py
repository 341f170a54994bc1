"""Notices by Apprise, in a process of their own: the daemon neither pays for its import nor waits for a target."""
