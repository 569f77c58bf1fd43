"""What was said, both ways: what platforms showed, and the messages made of it."""
