"""Runs a real Kubernetes cluster on one Linux machine, made from package registries alone.

control_plane.components.ControlPlane   etcd, API server, controllers, scheduler: what the API tests need
cluster.Cluster                         a ControlPlane with a real node, the project's images, S3 and Prometheus
kwok_cluster.SimulatedCluster              a ControlPlane with simulated nodes, the training-operator and Kueue
python -m harness                       a Cluster from the command line
"""
