"""Runs etcd, the API server, the controller manager and the scheduler, with their certificates and audit log."""
