"""What Muster promises about speed, measured. ``make bench`` prints it; nothing here is a test and nothing fails.

Only ratios inside one run are claims: milliseconds are those of the machine that it ran on.
"""
