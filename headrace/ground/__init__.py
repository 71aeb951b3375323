"""The ground: errors, telemetry, counts, clock, units and expressions, which every other floor stands on."""
