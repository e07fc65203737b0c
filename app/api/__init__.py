"""The wire: parse, authorise, answer, document."""
