"""Full-integer TFLite files that keep the network's answers.

:func:`exporter.quantize.ladder.choose` tries one way of quantising after the other, from the fastest
to the safest, and takes the first whose loss of accuracy is small enough on the user's own photos.
"""
