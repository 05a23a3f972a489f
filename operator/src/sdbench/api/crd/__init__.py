"""Generates the CustomResourceDefinition: structural schemas from the types, and the rules in CEL."""
