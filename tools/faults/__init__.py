"""Campaigns that interrupt exports and damage what is read, of any size; docs/faults.md has what they found."""
