"""One module a question: each answers with findings, never with a bool."""
