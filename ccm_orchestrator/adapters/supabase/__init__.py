"""The queue in a Supabase project: Postgres decides, PostgREST carries, Realtime only wakes.

`loop` a thread with the event loop that owns every connection · `keys`, `credentials` keys and tokens, kept fresh ·
`client` one call of a function of the database, repeated where it failed · `translation` foreign errors become ours ·
`wire` values as they travel · `rows` JSON to tasks · `tasks` the task store · `systems` how this machine is announced ·
`subscriber`, `listening`, `liveness` Realtime · `health` what is known of the connection · `store` all of it, started
and stopped in order
"""
