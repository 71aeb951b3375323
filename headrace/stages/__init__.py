"""The parts: the built-in sources, transforms and sinks, and the words that guests share with them."""
