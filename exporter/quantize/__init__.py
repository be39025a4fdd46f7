"""Full-integer TFLite files that keep the network's answers.

:class:`exporter.quantize.ladder.Ladder` tries one way of quantising after the other, from the fastest
to the safest, and takes the first whose loss of accuracy is small enough on the user's own photos.
"""
