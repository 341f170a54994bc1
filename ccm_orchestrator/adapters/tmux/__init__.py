"""tmux: the windows agents run in.

Reading order: `terminal` the port · `commands` what tmux is asked and answers · `names` what may reach it, and quoted
how · `control` and `connection` the persistent client, `wire` its language, `tether` what keeps it from outliving us ·
`exec_client` the fallback, one process per question · `server` finding, starting and configuring the server, with
`config` · `listing` reading the list of panes · `view` how a person looks
"""
