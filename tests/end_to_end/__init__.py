"""The whole service as real processes: what newcomers and adapters meet."""
