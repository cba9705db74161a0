"""What an atom must still know after it was killed."""
