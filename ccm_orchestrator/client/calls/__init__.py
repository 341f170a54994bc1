"""The routes of the API, one function each: what it takes, what it answers. A module for each audience."""
