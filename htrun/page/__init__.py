"""The page that shows a map: one HTML file that needs nothing else, from what is known of a map to bytes."""
