"""Inject known defects at a level, and freeze the test split."""
