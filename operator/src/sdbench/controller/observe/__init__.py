"""Reads jobs, pods and Events of the cluster into AttemptStates."""
