"""What an execution records of itself, what of it is kept, and how it leaves the atom."""
