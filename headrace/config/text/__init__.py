"""From text to a tree with locations, and from problems to findings."""
