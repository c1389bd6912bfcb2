"""What runs a space elsewhere: files for Kubernetes and Helm."""
