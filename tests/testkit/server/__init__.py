"""Talks to the API server: accounts, namespaces, Benchmarks, dry runs and audit logs."""
