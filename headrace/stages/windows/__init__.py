"""Windows over events, and what is counted in them: pure, without an event loop or a clock of its own."""
