"""The HTTP server, the HTTP client, and the checks of a request that all listeners share."""
