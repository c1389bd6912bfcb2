"""The control plane over HTTP, and its OpenAPI document."""
