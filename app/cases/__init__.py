"""One matter, any channels, any people, one owner: and the answers that are owed on it."""
