"""WebSockets: one hub a process, a bounded outbox a socket, and the base classes of every consumer."""
