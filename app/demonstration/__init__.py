"""The borough of Fernmoor: a world to try the program in, kept apart from every real office."""
