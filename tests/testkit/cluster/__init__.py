"""Plays the parts of a cluster without a node: the training-operator, the kubelet, nodes, and a log of objects."""
