"""Real servers on this machine for the tests to talk to, and lines to them that break when they are told to."""
