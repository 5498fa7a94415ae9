"""The connections to images, and what is known of each."""
