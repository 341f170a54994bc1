"""Claude Code: how it is started, what it says of itself, and how it is answered. `driver.py` is the way in."""
