"""What the end-to-end tests are made of: a network of their own, the daemon
under test, a strict client, strict readers of what it answers."""
