"""Talks to the API server: the client, the requests with the rights that they need, and their errors."""
