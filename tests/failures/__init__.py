"""What goes wrong around the service: answers are lost, requests come many times, many want the same money."""
