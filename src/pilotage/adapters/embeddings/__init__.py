"""Embedding models: the `retrieval.embedder.Embedder` port over real providers."""
