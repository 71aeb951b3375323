"""Windows over events, and their measures. Pure: without an event loop, and with injected clocks."""
