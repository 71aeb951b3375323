"""What listeners share, and the small HTTP server of a source, which keeps nothing beyond its bounds."""
