"""The commands, one module per group. They ask the API, whoever serves it, and hand its JSON to a view."""
