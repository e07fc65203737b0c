"""证据包: a case as one archive. Dossier (rows), papers (what goes in), sheets (pages and texts), packing (the zip)."""
