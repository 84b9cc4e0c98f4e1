"""What sample files are like, and the star that fits them: formats, dialects, types, keys, months and dimensions.

Loading, and rules that someone declared, do not belong here.
"""
