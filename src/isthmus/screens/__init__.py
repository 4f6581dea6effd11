"""Process screens: documents that people draw, put to review and publish. What they show is bound by paths of the plant, or
relative to an asset, so that one drawing serves forty pumps.
"""
