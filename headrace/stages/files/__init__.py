"""Files as sources and sinks: chunks, lines, decoders, rotation."""
