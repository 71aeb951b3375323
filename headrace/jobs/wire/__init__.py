"""Pure: the formats in which other job systems keep jobs."""
