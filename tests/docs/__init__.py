"""The documentation: its code does what it shows, and it can be built."""
