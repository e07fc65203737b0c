"""Files of evidence: where their bytes are kept, what they are, and under which names they may leave."""
