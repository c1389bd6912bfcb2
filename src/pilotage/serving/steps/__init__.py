"""One file per step of a request, in the order of serving/pipeline.py."""
