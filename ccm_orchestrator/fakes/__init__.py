"""In-memory implementations of the ports. They pass the same conformance suites as the real ones."""
