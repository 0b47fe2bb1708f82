"""The stateful machine: random work on the real services and PostgreSQL, audited after every step (DESIGN §5)."""
