"""The presets, one document each."""
