"""Method bodies and SQL that the SQL stores share."""
