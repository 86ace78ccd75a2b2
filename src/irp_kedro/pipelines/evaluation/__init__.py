"""Labels are joined here, and nowhere before."""
