"""The first run: five steps from an empty install to an office that fetches its post."""
