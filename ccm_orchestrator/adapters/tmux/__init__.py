"""tmux: the windows agents run in.

`names` what may reach tmux · `commands` what tmux is asked and answers · `wire` reading control mode · `control` the
persistent client · `exec_client` the fallback, one process per question · `server` starting and configuring the
server · `tether` a client that cannot outlive us · `terminal` the port
"""
