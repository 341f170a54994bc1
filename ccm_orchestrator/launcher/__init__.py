"""Stands in the window between the daemon and one agent, and outlives the daemon.

It starts one agent at most (kernel lock, one-time ticket), leaves `run.json`, waits, ends whatever the agent left
behind, and leaves `exit.json`. It is standard library only and knows nothing of the rest of the package: the files of
the run directory are the whole contract. It has to start in milliseconds, so it stays with modules written in C
(`posix`, `_json`, `_signal`): `json`, `signal`, `subprocess` and `typing` would each double the time to the agent.

`main` the command · `claim` lock and ticket · `agent` start · `supervise` wait and stop · `memory` limits ·
`tree` processes and the sweep · `records` JSON files · `window` what a person sees in print mode
"""
