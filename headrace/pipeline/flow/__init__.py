"""How events and demand flow between stages: subscriptions, inputs, outputs, ingress."""
