"""Carries decisions out in a cluster: kopf's triggers, the API server, the PyTorchJob, metrics."""
