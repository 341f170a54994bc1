"""A Supabase of one's own on this machine: for tests, and for trying without an account."""
