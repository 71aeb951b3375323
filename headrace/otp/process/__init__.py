"""A process: a mailbox, callbacks, and an exit."""
