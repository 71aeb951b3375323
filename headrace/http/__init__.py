"""The HTTP server, the HTTP client, and the access check of requests."""
