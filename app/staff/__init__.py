"""People who sign in: who they are, which offices they belong to, and their sessions."""
