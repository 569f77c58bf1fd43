"""What an office takes away or looks back on."""
