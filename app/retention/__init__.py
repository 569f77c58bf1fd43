"""Erasing: what was said goes, counts and dates stay, and neither a restore nor another fetch brings it back."""
