"""What sample files are like, and the star that fits them: formats, dialects, types, keys, months and dimensions.

Loading, and rules that somebody declared, do not belong here.
"""
