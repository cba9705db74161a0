"""Deployments: checked as an atom would check them, stored with all they need, and pushed until each atom answered."""
