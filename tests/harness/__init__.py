"""Runs a real Kubernetes cluster on one Linux machine, made from package registries alone.

control_plane.components.ControlPlane   etcd, API server, controllers, scheduler: what the API tests need
cluster.Cluster                         the same with a real node, the training-operator, our images, S3 and Prometheus
python -m harness                       the same from the command line
"""
