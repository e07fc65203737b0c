"""`./run demo`: one claim from each of the five systems, judged before your eyes."""
