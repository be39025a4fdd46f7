"""From a run directory to a bundle: one file per format, each compared with the Keras model.

Run ``edge-export bundle runs/groceries --out bundle``, or call
:func:`exporter.package.export_bundle`.
"""
